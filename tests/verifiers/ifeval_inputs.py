"""Random inputs of IFEval's checks, and the verdicts of a published implementation of them.

``python -m tests.verifiers.ifeval_inputs lm_eval.tasks.ifeval`` writes the verdicts again where that package and the
data ``punkt_tab`` of NLTK are installed.
"""

from __future__ import annotations

import random
import sys
from typing import Any

from tests.client.conftest import ROOT
from tests.verifiers.recording import record_checks

RECORDED = ROOT / "tests" / "data" / "agreement" / "ifeval.json"
DRAWN = 1000

PIECES = [
    *("The cat sat on the mat. ", "Dr. Smith went to the U.S. in 1990. ", 'He said "no." Then he left! ', "Really? "),
    *("We paid $3.50 at 5 p.m. on Mon. ", "See fig. 3, e.g. the left part. ", "NASA and the FBI agree, I'M SURE. "),
    *("\n* a first point\n", "\n- another point\n", "\n  * indented\n", "*highlighted* ", "**bold words** ", "\n***\n"),
    *("\n\n", "\n\n", "\n******\n", "<<A title>>\n", "<<>> ", "[address] ", "[name] [date] ", "\nP.S. One more thing"),
    *(
        "\nP.P.S. And another",
        "\np. s. so",
        "\nSection 1\n",
        "\nSECTION 2\n",
        "Section 3 ",
        '{"a": 1}',
        "```json\n{}\n```",
    ),
    *(
        "My answer is yes. ",
        "my answer is no. ",
        "ALL CAPITALS HERE. ",
        "keyword Keyword keywords ",
        "the river, the sea; ",
    ),
    *(
        "Is there anything else I can help with?",
        '"',
        '"',
        "Once upon a time ",
        "it's don't won't ",
        "etc. and so on... ",
    ),
]
TEXTS = {
    "en": "The committee met yesterday to discuss the new proposal, and most of its members agreed with the plan.",
    "de": "Der Ausschuss sprach gestern über den neuen Vorschlag, und die meisten Mitglieder waren einverstanden.",
    "fr": "Le comité s'est réuni hier pour parler de la nouvelle proposition, et la plupart étaient d'accord.",
    "es": "El comité se reunió ayer para hablar de la nueva propuesta, y la mayoría de los miembros estaba de acuerdo.",
    "it": "Il comitato si è riunito ieri per discutere la nuova proposta, e la maggior parte dei membri era d'accordo.",
    "ru": "Комитет собрался вчера, чтобы обсудить новое предложение, и большинство его членов согласилось с планом.",
    "hi": "समिति ने कल नए प्रस्ताव पर चर्चा करने के लिए बैठक की और अधिकांश सदस्य योजना से सहमत थे।",
    "ko": "위원회는 어제 새로운 제안을 논의하기 위해 모였고 대부분의 위원이 계획에 동의했습니다.",
    "ja": "委員会は昨日、新しい提案について話し合うために集まり、ほとんどの委員が計画に賛成しました。",
    "fi": "Valiokunta kokoontui eilen keskustelemaan uudesta ehdotuksesta, ja useimmat jäsenet olivat samaa mieltä.",
}
MOSTLY = {
    "length_constraints:nth_paragraph_first_word": [
        "The cat. ",
        "\n\n",
        "\n\n'Really' now",
        "Once, ",
        "\n\n\nDr. Smith",
        '"Keyword"',
    ],
    "keywords:existence": ["keyword ", "River", "the FBI ", "concatenate "],
    "detectable_format:number_highlighted_sections": [
        "*one* ",
        "**two** ",
        "** ** ",
        "*three",
        "* four *\n",
        "***five*** ",
    ],
    "startend:end_checker": ["So. ", "Is there anything else I can help with?", " ", '"', "\n"],
    "combination:two_responses": ["One. ******", "Two. ", "\n"],
}
PROMPT = "Once upon a time "


def inputs() -> list[tuple[str, dict[str, Any], str]]:
    """Name, arguments and text of each instruction."""
    draw = random.Random(20)
    return [_one(draw) for _ in range(DRAWN)]


def _one(draw: random.Random) -> tuple[str, dict[str, Any], str]:
    how = draw.choice(["less than", "at least"])
    few = draw.randint(1, 4)
    families: dict[str, dict[str, Any]] = {
        "keywords:existence": {"keywords": draw.sample(["cat", "keyword", "river", "FBI"], 2)},
        "keywords:frequency": {"keyword": draw.choice(["keyword", "the"]), "frequency": few, "relation": how},
        "keywords:forbidden_words": {"forbidden_words": draw.sample(["cat", "keyword", "river", "Once"], 2)},
        "keywords:letter_frequency": {"letter": draw.choice("eQ"), "let_frequency": 5 * few, "let_relation": how},
        "language:response_language": {"language": draw.choice(sorted(TEXTS))},
        "length_constraints:number_sentences": {"num_sentences": few + 1, "relation": how},
        "length_constraints:number_paragraphs": {"num_paragraphs": few},
        "length_constraints:number_words": {"num_words": 12 * few, "relation": how},
        "length_constraints:nth_paragraph_first_word": {
            "num_paragraphs": few,
            "nth_paragraph": draw.randint(1, few),
            "first_word": draw.choice(["the", "really", "Once", "keyword", "Dr"]),
        },
        "detectable_content:number_placeholders": {"num_placeholders": few},
        "detectable_content:postscript": {"postscript_marker": draw.choice(["P.S.", "P.P.S"])},
        "detectable_format:number_bullet_lists": {"num_bullets": few - 1},
        "detectable_format:constrained_response": {},
        "detectable_format:number_highlighted_sections": {"num_highlights": few},
        "detectable_format:multiple_sections": {
            "section_spliter": draw.choice(["Section", "SECTION"]),
            "num_sections": draw.randint(1, 2),
        },
        "detectable_format:json_format": {},
        "detectable_format:title": {},
        "combination:two_responses": {},
        "combination:repeat_prompt": {"prompt_to_repeat": PROMPT},
        "startend:end_checker": {"end_phrase": "Is there anything else I can help with?"},
        "startend:quotation": {},
        "change_case:capital_word_frequency": {"capital_frequency": few, "capital_relation": how},
        "change_case:english_capital": {},
        "change_case:english_lowercase": {},
        "punctuation:no_comma": {},
    }
    name = draw.choice(sorted(families))
    return name, families[name], _text(name, draw)


def _text(name: str, draw: random.Random) -> str:
    if name.startswith("language:") or name.startswith("change_case:english"):
        text = TEXTS[draw.choice(sorted(TEXTS))] if name.startswith("language:") else TEXTS[draw.choice(["en", "de"])]
        return draw.choice([text, text.upper(), text.lower()]) if name.startswith("change_case") else text
    text = "".join(draw.choices(PIECES, k=draw.randint(1, 9)))
    if name == "startend:quotation" and draw.random() < 0.5:
        return f'"{text}"'
    if name == "detectable_format:json_format" and draw.random() < 0.5:
        return draw.choice(
            ['{"a": [1, 2]}', '```json\n{"a": 1}\n```', "```\n[]\n```", '{"a": 1} x', "``` {} ```", "```JSON {}"]
        )
    if name in MOSTLY and draw.random() < 0.6:
        return "".join(draw.choices(MOSTLY[name], k=draw.randint(1, 5)))
    return (PROMPT if name == "combination:repeat_prompt" and draw.random() < 0.5 else "") + text


def main(package: str) -> None:
    """Write what the checks of a package say."""
    record_checks(package, inputs(), RECORDED)


if __name__ == "__main__":
    main(sys.argv[1])
