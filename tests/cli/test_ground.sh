#!/bin/bash
# `glip ground` from the command line to what it writes, with a small untrained model.
. tests/cli/cli.bash

model=$tmp/model.gguf
make_model "$model"
small="-m $model --short-side 64 --threshold 0 --max-detections 7"

ground() { run ground $small "$@"; }

# ---- The table and the JSON

good "a table" ground $small $pictures/rgb.png --classes "cat, dog"
check "the table's head" grep -q 'rgb.png  16 x 9, 7 boxes' "$tmp/out"
check "the table's rows" [ "$(grep -c '^  \(cat\|dog\) ' "$tmp/out")" -eq 7 ]
check "detections are there" [ "$(sed -n '3s/.* 0\.\([0-9]*\) .*/1/p' "$tmp/out")" = 1 ]

good "JSON" ground $small $pictures/rgb.png --classes "cat, dog" --json -
cp "$tmp/out" "$tmp/plain.json"
check "one line an image" [ "$(wc -l <"$tmp/out")" -eq 1 ]
check "its members" [ "$(json image width height caption labels.# detections.# <"$tmp/out")" = \
	"$(printf '%s\t16\t9\tcat. dog\t2\t7' $pictures/rgb.png)" ]
check "labels count from 1" [ "$(json labels.1.id labels.1.text labels.1.spans.0.0 labels.1.spans.0.1 <"$tmp/out")" = \
	"$(printf '2\tdog\t5\t8')" ]
check "all of timing" json timing_ms.preprocess timing_ms.backbone timing_ms.text timing_ms.head timing_ms.boxes \
	timing_ms.total <"$tmp/out" >"$tmp/timing"
json detections <"$tmp/out" >/dev/null

# boxes FILE: label, score and box of all detections
boxes() {
	local n i
	n=$(json detections.# <"$1" | head -n 1)
	for ((i = 0; i < n; i++)); do
		json detections.$i.text detections.$i.score detections.$i.box.0 detections.$i.box.1 detections.$i.box.2 \
			detections.$i.box.3 <"$1"
	done
}

boxes "$tmp/plain.json" >"$tmp/plain.boxes"
check "best first" sh -c "cut -f 2 '$tmp/plain.boxes' | sort -c -g -r"
check "boxes lie in the image" awk -F '\t' '$3 < 0 || $4 < 0 || $5 > 16 || $6 > 9 || $3 > $5 || $4 > $6 { exit 1 }' "$tmp/plain.boxes"

nasty=$'a "cat"\\ and\ta dog\n\001 caf\303\251 \360\237\230\200 \342\200\250</script>'
good "a nasty caption" ground $small -q $pictures/rgb.png --caption "$nasty" --json -
check "it is one line" [ "$(wc -l <"$tmp/out")" -eq 1 ]
check "it holds no control characters" sh -c "! tr -d '\n' <'$tmp/out' | LC_ALL=C grep -q '[[:cntrl:]]'"
check "it comes back" [ "$(json caption <"$tmp/out")" = "$nasty" ]
if command -v python3 >/dev/null; then
	check "another reader agrees" python3 -m json.tool "$tmp/out" /dev/null
else
	skip "another reader agrees"
fi
cp $pictures/rgb.png "$tmp/a \"b\\ c.png"
good "a nasty file name" ground $small "$tmp/a \"b\\ c.png" --classes cat --json -
check "it comes back" [ "$(json image <"$tmp/out")" = "$tmp/a \"b\\ c.png" ]

# ---- Labels

good "phrases of the caption" ground $small $pictures/rgb.png --caption "a cat on the green mat" --json -
check "they are the labels" [ "$(json labels.#  labels.0.text labels.1.text <"$tmp/out")" = "$(printf '2\ta cat\tthe green mat')" ]
good "--phrase" ground $small $pictures/rgb.png --caption "a cart with a Car" --phrase car --json -
check "whole words, any letter case" [ "$(json labels.0.spans.0.0 labels.0.spans.0.1 <"$tmp/out")" = "$(printf '14\t17')" ]
good "--span" ground $small $pictures/rgb.png --caption "ein Bär, ein Tier" --span 4:7,13:17 --span 0:3 --json -
check "spans in characters, in order" [ "$(json labels.# labels.0.spans.# labels.0.spans.1.1 labels.1.spans.0.1 <"$tmp/out")" = \
	"$(printf '2\t2\t17\t3')" ]
good "--whole" ground $small $pictures/rgb.png --caption "a cat on a mat" --whole --json -
check "one label" [ "$(json labels.# labels.0.text <"$tmp/out")" = "$(printf '1\ta cat on a mat')" ]
refused "a phrase that is not there" 2 "--phrase: .*zebra" ground $small $pictures/rgb.png --caption "a cat" --phrase zebra
refused "a span past the end" 2 "5" ground $small $pictures/rgb.png --caption "a cat" --span 2:50
refused "a span that is none" 2 "--span: 'x:y'" ground $small $pictures/rgb.png --caption "a cat" --span x:y
refused "a reversed span" 2 "glip: " ground $small $pictures/rgb.png --caption "a cat" --span 3:1
refused "an empty caption" 2 "caption" ground $small $pictures/rgb.png --caption ""
refused "a caption that is no UTF-8" 2 "UTF-8" ground $small $pictures/rgb.png --caption $'a \377'
refused "an empty class" 2 "empty" ground $small $pictures/rgb.png --classes "cat,,dog"
refused "a class twice" 2 "cat" ground $small $pictures/rgb.png --classes "cat,dog,cat"
refused "no class" 2 "no class" ground $small $pictures/rgb.png --classes " "
long=$(printf 'word%.0s ' $(seq 300))
ground $pictures/rgb.png --caption "${long}cat" --phrase cat --json -
check "a caption longer than the model reads goes through" [ $status -eq 0 ]
check "and the label past its end is named" grep -q 'warning: .*cat' "$tmp/err"
good "-q keeps quiet about it" ground $small -q $pictures/rgb.png --caption "${long}cat" --phrase cat --json -

printf 'cat\n\nsofa | couch\n  traffic_light (red)\n' >"$tmp/classes.txt"
good "a file of classes" ground $small $pictures/rgb.png --classes-file "$tmp/classes.txt" --json -
check "synonyms are one label" [ "$(json labels.# labels.1.text labels.1.spans.# <"$tmp/out")" = "$(printf '3\tsofa\t2')" ]
good "negatives" ground $small $pictures/rgb.png --classes cat --negatives "dog, bird" --json -
check "they are never reported" [ "$(boxes "$tmp/out" | cut -f 1 | sort -u)" = cat ]
good "a threshold for one label" ground $small $pictures/rgb.png --classes "cat, dog" --label-threshold dog=1 --json -
check "none of it is left" [ "$(boxes "$tmp/out" | cut -f 1 | sort -u)" = cat ]
refused "a threshold for no label" 2 "no class 'cow'" ground $small $pictures/rgb.png --classes "cat" --label-threshold cow=0.5

# ---- Chunks

seq -f 'thing %g' 1 90 >"$tmp/many.txt"
good "a list in one chunk" ground $small $pictures/rgb.png --classes "cat, dog" --chunk 2 --json -
boxes "$tmp/out" >"$tmp/chunk.boxes"
check "is the list itself" cmp -s "$tmp/plain.boxes" "$tmp/chunk.boxes"
good "a list that does not fit" ground $small --max-detections 300 $pictures/rgb.png --classes-file "$tmp/many.txt" --json -
check "every class is a label" [ "$(json labels.# <"$tmp/out")" -eq 90 ]
last=$(json labels.89.spans.0.0 labels.89.spans.0.1 <"$tmp/out" | tr '\t' ' ')
caption=$(json caption <"$tmp/out")
check "spans lie in the joined caption" [ "${caption:${last% *}:$((${last#* } - ${last% *}))}" = "thing 90" ]
good "chunks of 40" ground $small $pictures/rgb.png --classes-file "$tmp/many.txt" --chunk 40 --json -
refused "a class longer than the model reads" 2 "glip: " ground $small $pictures/rgb.png --classes "cat, $long"

# ---- Images

for kind in rgba grey grey16 palette; do
	good "a picture: $kind.png" ground $small $pictures/$kind.png --classes cat
done
for kind in baseline.jpg progressive.jpg grey.jpg rgb.bmp grey.pgm rgb.ppm resize_1x1.png; do
	good "a picture: $kind" ground $small $pictures/$kind --classes cat
done
head -c 60 $pictures/rgb.png >"$tmp/cut.png"
head -c 400 $pictures/baseline.jpg >"$tmp/cut.jpg"
: >"$tmp/empty.png"
printf 'no picture at all\n' >"$tmp/text.png"
refused "a truncated PNG" 1 "cut.png: " ground $small "$tmp/cut.png" --classes cat
refused "a truncated JPEG" 1 "cut.jpg: " ground $small "$tmp/cut.jpg" --classes cat
refused "an empty file" 1 "empty.png: .*empty" ground $small "$tmp/empty.png" --classes cat
refused "a text" 1 "text.png: " ground $small "$tmp/text.png" --classes cat
refused "a CMYK JPEG" 1 "cmyk.jpg: .*CMYK" ground $small $pictures/cmyk.jpg --classes cat
refused "a picture of too many pixels" 1 "bomb.png: " ground $small $pictures/bomb.png --classes cat
refused "a picture that is missing" 1 "missing.png: " ground $small "$tmp/missing.png" --classes cat
refused "the model for a picture" 1 "model.gguf: " ground $small "$model" --classes cat

ground $pictures/rgb.png "$tmp/cut.png" $pictures/grey.png --classes cat --json -
check "one bad picture of three: status 1" [ $status -eq 1 ]
check "it is named" grep -q "cut.png: " "$tmp/err"
check "the others go on" [ "$(json image <"$tmp/out" | tr '\n' ' ')" = "$pictures/rgb.png $pictures/grey.png " ]

# ---- Outputs

good "a drawing" ground $small $pictures/resize_61x38.png --classes "cat, dog" --draw "$tmp/drawn.png"
check "is a PNG" [ "$(head -c 4 "$tmp/drawn.png" | tail -c 3)" = PNG ]
good "a drawing as JPEG" ground $small $pictures/resize_61x38.png --classes cat --draw "$tmp/drawn.jpg"
good "it can be read again" ground $small "$tmp/drawn.jpg" --classes cat
good "drawings into a folder" ground $small $pictures/rgb.png $pictures/rgb.bmp --classes cat --draw "$tmp/drawings"
check "one an image" [ "$(ls "$tmp/drawings" | tr '\n' ' ')" = "rgb-2.png rgb.png " ]
refused "a drawing of no known kind" 2 "must end in .png or .jpg" ground $small $pictures/rgb.png --classes cat --draw "$tmp/x.gif"
ground $pictures/rgb.png --classes cat --draw "$tmp/nowhere/x.png"
check "a drawing that cannot be written: status 1" [ $status -eq 1 ]

good "a dump" ground $small $pictures/rgb.png --classes cat --dump "$tmp/dump"
check "its names" [ "$(ls "$tmp/dump" | wc -l)" -eq 51 ]
check "its files" [ "$(head -c 6 "$tmp/dump/head.1.fuse.lang.npy" | tail -c 5)" = NUMPY ]
refused "a dump of two images" 2 "--dump takes one image" ground $small $pictures/rgb.png $pictures/grey.png --classes cat --dump "$tmp/dump"

good "COCO's format" ground $small $pictures/rgb.png $pictures/grey.png --classes "cat, dog" --json "$tmp/coco.json" --format coco \
	--categories "$tmp/categories.json"
tr -d '\n' <"$tmp/coco.json" >"$tmp/coco.line"
tr -d '\n' <"$tmp/categories.json" >"$tmp/categories.line"
check "all results" [ "$(json '#' 13.image_id <"$tmp/coco.line")" = "$(printf '14\t2')" ]
check "their categories" [ "$(json categories.1.name images.1.file_name <"$tmp/categories.line")" = \
	"$(printf 'dog\t%s' $pictures/grey.png)" ]
ground $pictures/rgb.png --classes cat --json "$tmp/nowhere/x.json"
check "results that cannot be written: status 2" [ $status -eq 2 ]
if [ -w /dev/full ]; then
	"$glip" ground $small $pictures/rgb.png --classes cat >/dev/full 2>"$tmp/err"
	check "a full disk is noticed" [ $? -eq 1 ]
	ground $pictures/rgb.png --classes cat --json /dev/full
	check "a full disk under --json, too" [ $status -eq 1 ]
fi

# ---- Many images

# Under sanitizers, which make each of them slower, fewer are enough to be interrupted amid.
many=60
case $out in *asan* | *tsan*) many=16 ;; esac
mkdir "$tmp/many"
for i in $(seq -w 1 $many); do cp $pictures/resize_61x38.png "$tmp/many/$i.png"; done
echo hello >"$tmp/many/readme.txt"
good "a folder" ground $small -q "$tmp/many" --classes "cat, dog" --json "$tmp/all.jsonl"
check "all its pictures, by name" [ "$(json image <"$tmp/all.jsonl" | sed 's/.*\///' | tr '\n' ' ')" = \
	"$(seq -w 1 $many | sed 's/$/.png/' | tr '\n' ' ')" ]
check "nothing else is left" [ ! -e "$tmp/all.jsonl.part" ]
ls "$tmp"/many/*.png | "$glip" ground $small -q - --classes "cat, dog" --json "$tmp/stdin.jsonl"
check "paths from standard input" [ "$(wc -l <"$tmp/stdin.jsonl")" -eq $many ]
for i in 1 2 3; do
	good "shard $i" ground $small -q "$tmp/many" --classes "cat, dog" --shard $i/3 --json "$tmp/shard$i.jsonl"
done

# without_times FILE...: lines without what changes from run to run, sorted
without_times() { cat "$@" | sed 's/,"timing_ms".*//' | sort; }

without_times "$tmp/all.jsonl" >"$tmp/all.lines"
without_times "$tmp"/shard?.jsonl >"$tmp/shards.lines"
check "shards together are the whole" cmp -s "$tmp/all.lines" "$tmp/shards.lines"
# The first lines of a run that was killed, the last of them torn.
head -n 9 "$tmp/all.jsonl" >"$tmp/resumed.jsonl.part"
sed -n 10p "$tmp/all.jsonl" | head -c 300 >>"$tmp/resumed.jsonl.part"
good "resuming" ground $small -q "$tmp/many" --classes "cat, dog" --json "$tmp/resumed.jsonl" --resume
without_times "$tmp/resumed.jsonl" >"$tmp/resumed.lines"
check "gives the same lines" cmp -s "$tmp/all.lines" "$tmp/resumed.lines"
head -n 9 "$tmp/all.jsonl" >"$tmp/first.lines"
check "and keeps what was there" [ "$(head -n 9 "$tmp/resumed.jsonl")" = "$(cat "$tmp/first.lines")" ]
"$glip" ground $small -q "$tmp/many" --classes "cat, dog" --json "$tmp/killed.jsonl" 2>/dev/null &
child=$!
for ((i = 0; i < 500; i++)); do
	[ -s "$tmp/killed.jsonl.part" ] && break
	sleep 0.01
done
kill -KILL $child 2>/dev/null
wait $child 2>/dev/null
good "resuming after a kill" ground $small -q "$tmp/many" --classes "cat, dog" --json "$tmp/killed.jsonl" --resume
without_times "$tmp/killed.jsonl" >"$tmp/killed.lines"
check "gives the same lines, too" cmp -s "$tmp/all.lines" "$tmp/killed.lines"
# Images large enough that the signal arrives before the last of them.
slow="-m $model --short-side 256 --threshold 0.5 --threads 1 -q"
echo earlier >"$tmp/stopped.jsonl"
"$glip" ground $slow "$tmp/many" --classes "cat, dog" --json "$tmp/stopped.jsonl" 2>"$tmp/err" &
child=$!
for ((i = 0; i < 500; i++)); do
	[ -s "$tmp/stopped.jsonl.part" ] && break
	sleep 0.01
done
kill -TERM $child 2>/dev/null
wait $child
check "an interrupted run fails" [ $? -eq 1 ]
check "keeps the earlier results" [ "$(cat "$tmp/stopped.jsonl")" = earlier ]
check "and says where its own are" grep -q "stopped.jsonl.part; --resume" "$tmp/err"
good "resuming after an interruption" ground $slow "$tmp/many" --classes "cat, dog" --json "$tmp/stopped.jsonl" --resume
check "gives all lines" [ "$(wc -l <"$tmp/stopped.jsonl")" -eq $many ]

"$glip" ground $small "$tmp/many" --classes cat 2>"$tmp/err" | head -n 1 >"$tmp/out"
check "a pipe closed early" [ "$(wc -l <"$tmp/out")" -eq 1 ]
check "without a complaint" [ ! -s "$tmp/err" ]

good "own products and BLAS" ground $small $pictures/rgb.png --classes "cat, dog" --gemm blas --json -
check "find the same" [ "$(boxes "$tmp/out" | cut -f 1)" = "$(cut -f 1 "$tmp/plain.boxes")" ]
good "one thread" ground $small $pictures/rgb.png --classes "cat, dog" --threads 1 --gemm own --json -
boxes "$tmp/out" >"$tmp/one.boxes"
good "five threads" ground $small $pictures/rgb.png --classes "cat, dog" --threads 5 --gemm own --json -
boxes "$tmp/out" >"$tmp/five.boxes"
check "find the same to the last bit" cmp -s "$tmp/one.boxes" "$tmp/five.boxes"
good "the model read instead of mapped" ground $small $pictures/rgb.png --classes "cat, dog" --no-mmap

finish
