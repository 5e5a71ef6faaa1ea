#!/usr/bin/env python3
"""Writes tests/data/nouns/hard.jsonl: words, tags and noun phrases that NLTK 3.8 gives for awkward captions.

usage: make_hard_captions.py perceptron-tagger.jsonl > tests/data/nouns/hard.jsonl      (needs the Python package nltk)
"""
import json
import sys

from nltk.chunk.regexp import RegexpParser
from nltk.tag.perceptron import PerceptronTagger
from nltk.tokenize.destructive import NLTKWordTokenizer

CAPTIONS = """
the man said "hello" to a dog
"a sign" over the door
a sign reading ``stop'' and ''go''
two signs ("open" and 'closed') on a wall
[a red] {green} <blue> light
the dogs' bowls and the cat's toy
a girl who can't swim and won't try
i'll see what they've got, she'd go
he cannot see, gimme a ball, lemme go
they're gonna get wanna sit, gotta run
wanna
'tis a cat and 'twas a dog
more'n a dozen d'ye see
rock 'n' roll in the '90s
an o'clock face 'x' marks the spot
a 1,000 meter race at 10:30 for $5 or 50%
items: a cup, a plate; two forks & a knife
a cat,a dog,5,6 and a bird:three
a cup,
a close-up -- with a black--white border --- end
waiting... for the bus
the end...
the u.s.a flag
a big house."
a big house.)
a big house.” )
what is this?! a #tag and @name
a * b ** c
caf\u00e9 cr\u00e8me by the \u201cold\u201d fa\u00e7ade
\u00abun chat\u00bb \u2018a cat\u2019 \u201ea dog\u201c
\u039f\u0394\u039f\u03a3 sign in \u0130stanbul
the year 2019 and 1984-style -foo art
x\u00b2 and \u2460 and 42nd street
an english-speaking tour guide in new york
a mostly empty very old half-eaten apple pie
the the dog a a cat
'''quoted''' things
a man's' odd apostrophes' 
it's n't there isn't it
\u732b and \u72ac in a garden
a/b testing of 3x4 grids
% of people
the (very) small [red] house
A Woman And HER DOG
""".strip("\n").split("\n")


def main(weights):
    with open(weights, encoding="utf-8", newline="\n") as lines:
        tagger = PerceptronTagger(load=False)
        tagger.classes = tagger.model.classes = set(json.loads(next(lines))["classes"])
        tagger.tagdict = json.loads(next(lines))["tagdict"]
        tagger.model.weights = dict(json.loads(line) for line in lines)
    parser = RegexpParser("NP: {<DT>?<JJ.*>*<NN.*>+}")
    for caption in CAPTIONS:
        tokens = NLTKWordTokenizer().tokenize(caption.lower())
        tagged = tagger.tag(tokens)
        phrases = [" ".join(word for word, _ in subtree.leaves())
                   for subtree in parser.parse(tagged).subtrees() if subtree.label() == "NP"]
        phrases = [p for p in phrases if any(c.isalnum() for c in p)]
        print(json.dumps({"caption": caption, "tokens": tokens, "tags": [tag for _, tag in tagged],
                          "phrases": phrases}, ensure_ascii=False))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
