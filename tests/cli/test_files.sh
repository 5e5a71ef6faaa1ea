#!/bin/bash
# What the program does to files: nothing is lost, and each line of results stands for the image that it names.
. tests/cli/cli.bash

model=$tmp/model.gguf
make_model "$model"
small="-m $model --short-side 64 --threshold 0 --max-detections 3 --classes cat"

ground() { run ground $small "$@"; }

# ---- Drawings

cp $pictures/rgb.png "$tmp/photo.png"
ground "$tmp/photo.png" --draw "$tmp/photo.png"
check "a drawing over its image is refused" [ $status -eq 1 ]
check "it is said why" grep -q "photo.png: .*overwrite" "$tmp/err"
check "the image is what it was" cmp -s $pictures/rgb.png "$tmp/photo.png"
mkdir "$tmp/photos"
cp $pictures/rgb.png "$tmp/photos/a.png"
cp $pictures/grey.png "$tmp/photos/b.png"
ground "$tmp/photos" --draw "$tmp/photos"
check "also in a folder" [ $status -eq 1 ]
check "the images are what they were" cmp -s $pictures/grey.png "$tmp/photos/b.png"
refused "one drawing of two images" 2 "one picture" ground $small $pictures/rgb.png $pictures/grey.png --draw "$tmp/two.png"
check "leaves no folder of that name" [ ! -e "$tmp/two.png" ]

# ---- Going on

cp $pictures/rgb.png "$tmp/photos/"$'no\377utf8.png'
cp $pictures/rgb.png "$tmp/photos/"$'no\376utf8.png'
good "names that are not UTF-8" ground $small -q "$tmp/photos" --json "$tmp/names.jsonl"
good "are known again" ground $small -q "$tmp/photos" --json "$tmp/names.jsonl" --resume
check "and not done again" [ "$(wc -l <"$tmp/names.jsonl")" -eq 4 ]
head -n 1 "$tmp/names.jsonl" >"$tmp/twice.jsonl"
good "an image given twice" ground $small -q "$tmp/photos/a.png" "$tmp/photos/a.png" --json "$tmp/twice.jsonl" --resume
check "has two lines" [ "$(wc -l <"$tmp/twice.jsonl")" -eq 2 ]
cp "$tmp/names.jsonl" "$tmp/other.jsonl"
run ground -m "$model" --short-side 64 "$tmp/photos" --classes "dog, cat" --json "$tmp/other.jsonl" --resume
check "results of other words are not gone on from" [ $status -eq 2 ]
check "it is said why" grep -q "other.jsonl: .*other words" "$tmp/err"
check "they stay as they are" cmp -s "$tmp/names.jsonl" "$tmp/other.jsonl"
check "nothing else is left" [ "$(echo "$tmp"/other.jsonl*)" = "$tmp/other.jsonl" ]

# ---- COCO's image ids

cp $pictures/rgb.png "$tmp/000000000139.png"
cp $pictures/rgb.png "$tmp/000000000002.png"
# ids FILE: of all images
ids() { tr -d '\n' <"$1" | grep -o '"id":[0-9]*,"file_name"' | tr -dc '0-9\n' | tr '\n' ' '; }
good "images with numbers" ground $small "$tmp/000000000139.png" "$tmp/000000000002.png" --json "$tmp/c.json" --format coco \
	--categories "$tmp/c1.json"
check "have their numbers" [ "$(ids "$tmp/c1.json")" = "139 2 " ]
good "some without" ground $small "$tmp/photos/a.png" "$tmp/photo.png" "$tmp/000000000002.png" --json "$tmp/c.json" \
	--format coco --categories "$tmp/c2.json"
check "are all numbered by their turn" [ "$(ids "$tmp/c2.json")" = "1 2 3 " ]
mkdir "$tmp/same"
cp $pictures/rgb.png "$tmp/same/000000000139.png"
good "two of one number" ground $small "$tmp/000000000139.png" "$tmp/same/000000000139.png" --json "$tmp/c.json" --format coco \
	--categories "$tmp/c3.json"
check "too" [ "$(ids "$tmp/c3.json")" = "1 2 " ]

# ---- A full disk

printf 'what was there\n' >"$tmp/kept.jsonl"
for format in coco jsonl; do
	# A limit on the size of files stands for the full disk.
	(ulimit -f 1; trap '' XFSZ; exec "$glip" ground $small $(yes "$tmp/photo.png" | head -n 20) -q --max-detections 90 \
		--format $format --json "$tmp/kept.jsonl") >"$tmp/out" 2>"$tmp/err"
	check "a write that fails ($format)" [ $? -eq 1 ]
	check "is reported once" [ "$(grep -c 'cannot write' "$tmp/err")" -eq 1 ]
	check "and leaves the earlier results alone" [ "$(cat "$tmp/kept.jsonl")" = "what was there" ]
done
check "the lines so far are kept" [ -s "$tmp/kept.jsonl.part" ]
"$glip" ground $small $pictures/rgb.png >&- 2>"$tmp/err"
check "a closed output" [ $? -eq 1 ]
check "is named" grep -q 'standard output' "$tmp/err"

# ---- Converting

settings="$("$helpers/make_checkpoint" "$tmp/tiny.safetensors") --vocab $tmp/tiny.safetensors.txt"
cp "$tmp/tiny.safetensors" "$tmp/before"
refused "a model file over its checkpoint" 2 "replace" convert "$tmp/tiny.safetensors" "$tmp/tiny.safetensors" $settings
check "the checkpoint is what it was" cmp -s "$tmp/tiny.safetensors" "$tmp/before"
refused "a model file over its vocabulary" 2 "replace" convert "$tmp/tiny.safetensors" "$tmp/tiny.safetensors.txt" $settings
refused "heads that do not divide" 2 "bert.heads=5 does not divide a width of" \
	convert "$tmp/tiny.safetensors" "$tmp/x.gguf" $settings --set bert.heads=5

# ---- Lists and names

printf '\357\273\277cat\r\ndog\r\n' >"$tmp/bom.txt"
good "a list with a byte order mark" ground -m "$model" --short-side 64 $pictures/rgb.png --classes-file "$tmp/bom.txt" --json -
check "begins with its first letter" [ "$(json labels.0.text labels.1.text <"$tmp/out")" = "$(printf 'cat\tdog')" ]
ground "$tmp/"$'missing\033[31m.png'
check "escape sequences of a name do not reach the terminal" [ "$(tr -d '\n' <"$tmp/err" | LC_ALL=C tr -dc '[:cntrl:]' | wc -c)" -eq 0 ]

finish
