#!/bin/bash
# The program's help, options and messages: what a user meets before anything is computed.
. tests/cli/cli.bash

good "help" --help
check "help names every command" grep -q 'ground.*' "$tmp/out"
for command in ground phrases convert info; do
	good "help of $command" help $command
	check "help of $command shows its use" grep -q "^usage: glip $command" "$tmp/out"
	cp "$tmp/out" "$tmp/first"
	good "$command --help" $command --help
	check "$command --help is the same" cmp -s "$tmp/first" "$tmp/out"
	check "help of $command fits 120 columns" awk 'length > 120 { exit 1 }' "$tmp/out"
	refused "$command without arguments" 2 'glip' $command
	refused "$command with an unknown option" 2 "unknown option '--frobnicate'" $command --frobnicate
done
good "version" --version
check "version says which" grep -q '^glip [0-9]' "$tmp/out"
check "version says who decodes JPEG" grep -qE '^images: JPEG by (libjpeg-turbo [0-9.]+|stb_image),' "$tmp/out"

run
check "no command: status 2" [ $status -eq 2 ]
check "no command: help on standard error" grep -q '^usage:' "$tmp/err"
refused "unknown command" 2 "unknown command 'grond'" grond
refused "help of an unknown command" 2 "unknown command 'grond'" help grond

refused "a near miss is named" 2 "did you mean '--threshold'" ground x.png --classes cat --treshold 0.5
refused "another near miss" 2 "did you mean '--classes'" ground x.png --clases cat
refused "a missing value" 2 "--threshold needs a value" ground x.png --classes cat --threshold
refused "a number that is none" 2 "--threshold: 'high' is not a number" ground x.png --classes cat --threshold high
refused "a number out of range" 2 "--threshold: '1.5' is not a number from 0 to 1" ground x.png --classes cat --threshold 1.5
refused "not a number at all" 2 "--nms: 'nan'" ground x.png --classes cat --nms nan
refused "a fraction for a count" 2 "--threads: '1.5' is not a whole number" ground x.png --classes cat --threads 1.5
refused "a count that overflows" 2 "--chunk: '99999999999999999999'" ground x.png --classes cat --chunk 99999999999999999999
refused "a choice that is none" 2 "--gemm: 'fast' is not one of auto|own|blas" ground x.png --classes cat --gemm fast
refused "a value for a flag" 2 "--quiet takes no value" ground x.png --classes cat --quiet=1
refused "no image" 2 "no image given" ground --classes cat
refused "nothing to look for" 2 "nothing to look for" ground x.png
refused "two kinds of prompt" 2 "exclude each other" ground x.png --classes cat --caption "a cat"
refused "--phrase without --caption" 2 "need --caption" ground x.png --classes cat --phrase cat
refused "--chunk with --caption" 2 "need a class list" ground x.png --caption "a cat" --chunk 3
refused "--resume without a file" 2 "--resume needs --json FILE" ground x.png --classes cat --resume
refused "--resume with standard output" 2 "--resume needs --json FILE" ground x.png --classes cat --resume --json -
refused "coco without a file" 2 "--format coco needs --json" ground x.png --classes cat --format coco
refused "a shard that is none" 2 "--shard: '3/2'" ground x.png --classes cat --shard 3/2
refused "a shard of text" 2 "--shard: 'one'" ground x.png --classes cat --shard one

# ---- Phrases

good "phrases" phrases "A raccoon sitting on the green grass, next to a wooden fence."
check "phrases are marked" grep -q '^\[a raccoon\] sitting on \[the green grass\] , next to \[a wooden fence\] \.$' "$tmp/out"
check "phrases have their spans" grep -q '21:36  the green grass' "$tmp/out"
good "phrases as JSON" phrases --json $'two \360\237\230\200 cats\tand "dogs"' "a cat"
check "one object a caption" [ "$(json caption <"$tmp/out" | wc -l)" -eq 2 ]
check "the caption comes back" [ "$(head -n 1 "$tmp/out" | json caption)" = $'two \360\237\230\200 cats\tand "dogs"' ]
check "no control characters in JSON" sh -c "! tr -d '\n' <'$tmp/out' | LC_ALL=C grep -q '[[:cntrl:]]'"
good "phrases with tags" phrases --tags "a cat"
check "tags are shown" grep -q 'a/DT cat/NN' "$tmp/out"
printf 'a cat\na dog\n' | "$glip" phrases - >"$tmp/out" 2>"$tmp/err"
check "phrases from standard input" [ "$(grep -c '^\[' "$tmp/out")" -eq 2 ]
refused "phrases of an empty caption" 1 "caption" phrases ""
refused "phrases of bytes that are no UTF-8" 1 "UTF-8" phrases $'a \377 cat'

# ---- Model files

make_model "$tmp/model.gguf"
good "info" info "$tmp/model.gguf" --verify
check "info shows the checksum's outcome" grep -q 'checksum is right' "$tmp/out"
good "info lists tensors" info "$tmp/model.gguf" --tensors
check "a tensor's name" grep -q 'swin.0.0.attn.qkv.weight' "$tmp/out"
good "info as JSON" info "$tmp/model.gguf" --tensors --json
check "as many tensors as it says" [ "$(json tensor_count <"$tmp/out")" = "$(json tensors.# <"$tmp/out")" ]
head -c 1000000 "$tmp/model.gguf" >"$tmp/cut.gguf"
head -c 40 "$tmp/model.gguf" >"$tmp/header.gguf"
cp "$tmp/model.gguf" "$tmp/flipped.gguf"
printf 'x' | dd of="$tmp/flipped.gguf" bs=1 seek=9000000 conv=notrunc 2>/dev/null
: >"$tmp/empty.gguf"
refused "info of a missing file" 2 "missing.gguf" info "$tmp/missing.gguf"
refused "info of a folder" 2 "$tmp" info "$tmp"
refused "info of a damaged file" 2 "flipped.gguf.*checksum" info "$tmp/flipped.gguf" --verify
for kind in cut header empty; do
	refused "info of a file that is cut ($kind)" 2 "$kind.gguf" info "$tmp/$kind.gguf"
	refused "grounding with a file that is cut ($kind)" 2 "$kind.gguf" \
		ground -m "$tmp/$kind.gguf" $pictures/rgb.png --classes cat
done
refused "grounding with a model that is missing" 2 "missing.gguf" ground -m "$tmp/missing.gguf" $pictures/rgb.png --classes cat
refused "grounding with a picture for a model" 2 "rgb.png: not a GGUF" ground -m $pictures/rgb.png $pictures/rgb.png --classes cat

# ---- Converting

settings=$("$helpers/make_checkpoint" "$tmp/tiny.safetensors")
heads=$settings
settings="$settings --vocab $tmp/tiny.safetensors.txt"
run convert "$tmp/tiny.safetensors" "$tmp/tiny.gguf" $settings
check "convert" [ $status -eq 0 ]
check "convert says nothing on standard output" [ ! -s "$tmp/out" ]
good "what it wrote is whole" info --verify "$tmp/tiny.gguf"
for type in bf16 i8; do
	run convert "$tmp/tiny.safetensors" "$tmp/$type.gguf" $settings --type $type
	check "convert --type $type" [ $status -eq 0 ]
	good "what it wrote is whole" info --verify "$tmp/$type.gguf"
	check "info names the type" grep -q "parameters (f32.* $type" "$tmp/out"
	good "info lists its tensors" info --tensors "$tmp/$type.gguf"
	check "a matrix among them" grep -q "^  $type .* bert.0.mlp.up.weight\$" "$tmp/out"
	for compute in auto f32 bf16 i16 i8; do
		good "$type computes in $compute" ground -m "$tmp/$type.gguf" $pictures/rgb.png --short-side 64 --threshold 0 --whole \
			--caption a --compute $compute
	done
done
run info --tensors "$tmp/i8.gguf"
check "8-bit integers have scales" grep -q "^  f32 .* bert.0.mlp.up.weight.scale\$" "$tmp/out"

# ---- The size that images are read at: the caller's, else the file's, else the official one

# boxes MODEL OPTION...: what is found, without times
boxes() {
	run ground -q -m "$1" $pictures/rgb.png --classes cat --threshold 0 --json - "${@:2}"
	sed 's/.*"detections"://;s/,"timing_ms".*//' "$tmp/out"
}
run convert "$tmp/tiny.safetensors" "$tmp/sized.gguf" $settings --set input.short_side=48 --set input.long_side=60
check "convert with the sizes of images" [ $status -eq 0 ]
file_sizes=$(boxes "$tmp/sized.gguf")
check "something is found" [ -n "$file_sizes" ]
check "the file's sizes" [ "$file_sizes" = "$(boxes "$tmp/tiny.gguf" --short-side 48 --long-side 60)" ]
check "its long side alone" [ "$(boxes "$tmp/sized.gguf" --short-side 40)" = "$(boxes "$tmp/tiny.gguf" --short-side 40 --long-side 60)" ]
check "its short side alone" [ "$(boxes "$tmp/sized.gguf" --long-side 0)" = "$(boxes "$tmp/tiny.gguf" --short-side 48 --long-side 0)" ]
check "a cap that matters" [ "$file_sizes" != "$(boxes "$tmp/sized.gguf" --long-side 0)" ]
cp "$tmp/tiny.gguf" "$tmp/before.gguf"
refused "a checkpoint that is missing" 2 "missing.pth" convert "$tmp/missing.pth" "$tmp/tiny.gguf"
head -c $(($(stat -c %s "$tmp/tiny.safetensors") / 2)) "$tmp/tiny.safetensors" >"$tmp/cut.safetensors"
refused "a checkpoint that is cut" 2 "cut.safetensors" convert "$tmp/cut.safetensors" "$tmp/tiny.gguf" $settings
refused "a picture for a checkpoint" 2 "rgb.png" convert $pictures/rgb.png "$tmp/tiny.gguf"
refused "a checkpoint of something else" 2 "glip: " convert tests/data/checkpoints/model.pth "$tmp/tiny.gguf"
refused "a setting that is none" 2 "swim.heads" convert "$tmp/tiny.safetensors" "$tmp/tiny.gguf" $settings --set swim.heads=2
refused "a setting that does not fit" 2 "bert" convert "$tmp/tiny.safetensors" "$tmp/tiny.gguf" $settings --set bert.heads=5
refused "a vocabulary of another size" 2 "vocabulary" convert "$tmp/tiny.safetensors" "$tmp/tiny.gguf" $heads
refused "a folder that is not there" 2 "nowhere" convert "$tmp/tiny.safetensors" "$tmp/nowhere/tiny.gguf" $settings
check "an earlier model survives all that" cmp -s "$tmp/before.gguf" "$tmp/tiny.gguf"

mkdir "$tmp/stopped"
stopped_badly=0
for delay in 0.000 0.001 0.002 0.003 0.004 0.005 0.006 0.008 0.010 0.015; do
	"$glip" convert "$tmp/tiny.safetensors" "$tmp/stopped/tiny.gguf" $settings 2>/dev/null &
	child=$!
	sleep $delay
	kill -TERM $child 2>/dev/null # SIGINT goes the same way, but shells keep it from children in the background
	wait $child 2>/dev/null
	for file in "$tmp"/stopped/*; do
		[ -e "$file" ] || continue
		[ "$file" = "$tmp/stopped/tiny.gguf" ] && "$glip" info --verify "$file" >/dev/null || stopped_badly=1
		rm -f "$file"
	done
done
check "an interrupted conversion leaves a whole file or none" [ $stopped_badly -eq 0 ]

# The bundled model is found beside the build, named on stderr, and reads scenes at the size it was trained at.
scene=examples/scenes/things.png
run ground $scene --classes "$(sed -n 's/^classes: //p' "${scene%.png}.txt")"
check "finds what the scene shows" grep -q '^examples/scenes/things.png  384 x 320, 8 boxes' "$tmp/out"
check "the giraffe where it is" grep -qE '^  giraffe  +0\.[0-9]+ +26[0-9.]+ +4[0-9.]+ +29[0-9.]+ +9[0-9.]+$' "$tmp/out"
check "is named" grep -q "no -m given: using the bundled demo model" "$tmp/err"

finish
