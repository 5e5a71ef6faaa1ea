#!/bin/sh
# From a run's checkpoint to the bundled model and its report:
#   tools/train/release.sh RUN_DIR [MODEL.gguf]        in the root of the repository, after make
# GLIP is the program (a copy, where builds go on meanwhile), PYTHON the one that has torch (Debian: /usr/bin/python3 with
# python3-torch). SCENES=50 gives a quick look. START is the released model that the run started from, to take the mean with (export.py).
set -eu
run=$1
model=${2:-weights/glip-demo.gguf}
python=${PYTHON:-/usr/bin/python3}
glip=${GLIP:-build/glip}
train=$(dirname "$0")
report=weights/report   # beside the .md: log, curve, samples, and what a person has to say of the run (notes.md)
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

mkdir -p "$report"
"$python" "$train/export.py" "$run/checkpoint.pth" "$run/demo.pth" ${START:+--start "$START"}
"$glip" convert "$run/demo.pth" "$model" --type bf16 --name "GLIP demo" \
	--set swin.heads=1,2,4,8 --set bert.heads=4 --set fusion.heads=4 --set input.short_side=320
cp "$run/log.jsonl" "$report/log.jsonl"
"$python" "$train/curve.py" "$run/log.jsonl" "$report/curve.png"
"$python" "$train/scenes.py" "$report/samples.jpg" --seed 7
last=$(tail -n 1 "$run/log.jsonl")
"$python" "$train/evaluate.py" --program "$glip" --model "$model" --scenes "${SCENES:-500}" --report "${model%.gguf}.md" \
	--note "File: $(wc -c < "$model") bytes, bar 6 MB. Every scene at its own size, one thread, float32 arithmetic." \
	--note "" --note "The last line of training's log (\`report/log.jsonl\`): \`$last\`" \
	--note "" --note "$(cat "$report/notes.md")" \
	--note "" --note "![loss over images seen](report/curve.png)" \
	--note "" --note "![samples of the training scenes](report/samples.jpg)"
