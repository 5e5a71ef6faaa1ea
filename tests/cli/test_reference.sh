#!/bin/bash
# Checkpoints as PyTorch writes them, converted, against the reference data beside the repository; skipped where those,
# or python3-torch, are missing.
. tests/cli/cli.bash

reference=../shared/reference
python=/usr/bin/python3
if [ ! -e $reference/weights.py ]; then
	skip "no reference data"
	finish
fi
if ! $python -c 'import torch' 2>/dev/null; then
	skip "no python3-torch"
	finish
fi

# case_run NAME VARIANT SEED IMAGE SHORT LONG ARG...: converts the variant's checkpoint, compares with the model that the
# rule makes and with the case's dump
case_run() {
	local name=$1 variant=$2 seed=$3 image=$4 short=$5 long=$6 heads=1,2,4,8
	shift 6
	[ "$variant" = mini-l ] && heads=2,4,8,16
	$python $reference/weights.py "$variant" "$tmp/model.pth" --seed "$seed" $legacy >/dev/null 2>"$tmp/err" || fail "$name: weights.py"
	run convert "$tmp/model.pth" "$tmp/converted.gguf" --set swin.heads=$heads --set bert.heads=4 --set fusion.heads=8
	check "$name: converted" [ $status -eq 0 ]
	"$helpers/make_model" "$variant" "$seed" "$tmp/made.gguf"
	good "$name: grounded" ground -q -m "$tmp/converted.gguf" "$reference/images/$image" --short-side "$short" \
		--long-side "$long" --threshold 0 --json - --dump "$tmp/dump" "$@"
	sed 's/,"timing_ms".*//' "$tmp/out" >"$tmp/converted.json"
	good "$name: grounded with the rule's model" ground -q -m "$tmp/made.gguf" "$reference/images/$image" \
		--short-side "$short" --long-side "$long" --threshold 0 --json - "$@"
	sed 's/,"timing_ms".*//' "$tmp/out" >"$tmp/made.json"
	check "$name: the same to the last bit" cmp -s "$tmp/converted.json" "$tmp/made.json"
	check "$name: as many detections as the reference" [ "$(json detections.# <"$tmp/out")" -eq \
		"$(grep -c '"label"' "$reference/cases/$name/detections.json")" ]
	(cd "$tmp/dump" && ls) >"$tmp/dumped"
	(cd "$reference/cases/$name" && ls -- *.npy) >"$tmp/named"
	check "$name: the dump's names" cmp -s "$tmp/named" "$tmp/dumped"
	rm -rf "$tmp/dump"
}

names="cat, dog, person, traffic light, zebra"
legacy="" case_run mini-t-classes mini-t 1 cat_dog.png 96 0 --classes "$names"
legacy=--legacy case_run mini-t-phrases mini-t 2 raccoon-101.png 131 200 \
	--caption "A raccoon sitting on the green grass, next to a wooden fence."
legacy="" case_run mini-t-portrait mini-t 4 raccoon-115.png 120 160 \
	--caption "a raccoon on a tree. the raccoon and the dark tree" --span 0:9,21:32 --span 13:19,37:50
legacy="" case_run mini-a-classes mini-a 1 cat_dog.png 96 0 --classes "$names"
legacy="" case_run mini-l-classes mini-l 1 raccoon-1.png 128 0 --classes "$names"

finish
