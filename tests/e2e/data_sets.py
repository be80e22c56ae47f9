"""Rows of data sets in the shapes in which their users have them, with a right and a wrong answer in each."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from PIL import Image

Row = dict[str, Any]


class Shape(NamedTuple):
    """A data set, with a right and a wrong answer in it.

    Attributes:
        verifier: Who judges.
        rows: As the data set writes them, the answers in the column ``output`` where it has none of its own.
        scores: Of each row.
        columns: The recipe's table of that name.
        options: The recipe's options.
        kind: Of the file.
    """

    verifier: str
    rows: list[Row]
    scores: list[float]
    columns: Mapping[str, str] = MappingProxyType({})
    options: Mapping[str, Any] = MappingProxyType({})
    kind: str = "jsonl"


def both(row: Row, *answers: Any) -> list[Row]:
    return [{**row, "output": answer} for answer in answers]


def call(name: str, **arguments: Any) -> str:
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


def searched(found: str) -> list[Row]:
    call = {"id": "1", "type": "function", "function": {"name": "search", "arguments": "{}"}}
    asked = {"role": "assistant", "content": "", "tool_calls": [call]}
    return [asked, {"role": "tool", "tool_call_id": "1", "content": found}, {"role": "assistant", "content": found}]


def drawn(width: int, height: int) -> list[Row]:
    held = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(held, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode()}"
    return [{"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": url}}]}]


WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "required": ["city"]}}}
SQUAD = {
    "id": "56be4db0",
    "title": "Super_Bowl_50",
    "context": "The Denver Broncos won.",
    "question": "Who won?",
    "answers": {"text": ["Denver Broncos", "the Broncos"], "answer_start": [4, 0]},
}
TRIVIA = {"question": "Capital of Mali?", "answer": {"value": "Bamako", "aliases": ["Bamako", "Bammaco"]}}
DOCUMENTS = [
    {"id": "d1", "title": "Telford", "text": "Ilse Varga won the Telford Prize in 1891."},
    {"id": "d2", "title": "Corran", "text": "Corran Point is on the island of Marrow."},
]
CHAT = [
    {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "type": "function", "function": one}]}
    for one in (
        {"name": "book", "arguments": '{"id": 7}'},
        {"name": "cancel", "arguments": '{"id": 7}'},
    )
]
SHAPES = {
    "squad": Shape(
        "qa",
        both(SQUAD, "Broncos", "Carolina Panthers"),
        [1, 0],
        {"prompt": "question", "reference.answer": "answers.text"},
    ),
    "triviaqa": Shape(
        "qa", both(TRIVIA, "bammaco.", "Gao"), [1, 0], {"prompt": "question", "reference.answer": "answer.aliases"}
    ),
    "nq-open": Shape(
        "qa",
        both({"question": "Who wrote it?", "answer": ["Ursula K. Le Guin", "Le Guin"]}, "by Le Guin", "Le Guin"),
        [0.8, 1],
        {"prompt": "question", "reference.answer": "answer"},
        {"metric": "f1"},
    ),
    "spreadsheet": Shape(
        "exact",
        [{"prompt": "2+2?", "completion": text, "answer": "4"} for text in ("4", "5")],
        [1, 0],
        {"response": "completion", "reference.answer": "answer"},
        kind="csv",
    ),
    "gsm8k": Shape(
        "numeric",
        both({"question": "?", "answer": "9 * 2 = <<9*2=18>>18\n#### 18"}, "It makes $18.", "It makes $17."),
        [1, 0],
        {"prompt": "question", "reference.answer": "answer"},
    ),
    "math": Shape(
        "math",
        both({"problem": "?", "solution": "...", "answer": "\\frac{1}{2}"}, "\\boxed{0.5}", "\\boxed{2}"),
        [1, 0],
        {"prompt": "problem", "reference.answer": "answer"},
    ),
    "mmlu-labelled": Shape(
        "choice",
        both({"question": "?", "choices": {"A": "Rome", "B": "Paris"}, "answer": "B"}, "The answer is B.", "A"),
        [1, 0],
        {"prompt": "question", "reference.choices": "choices", "reference.answer": "answer"},
    ),
    "wmt": Shape(
        "bleu",
        both({"translation": {"de": "Das Meer.", "en": "The sea rises today."}}, "The sea rises today.", "No idea"),
        [1, 0],
        {"prompt": "translation.de", "reference.answer": "translation.en"},
    ),
    "wmt-chrf": Shape(
        "chrf",
        both({"source": "Das Meer.", "references": ["The sea.", "The ocean."]}, "The ocean.", "xyz"),
        [1, 0],
        {"prompt": "source", "reference.answer": "references"},
    ),
    "cnn-dailymail": Shape(
        "rouge",
        both({"article": "...", "highlights": "the sea rises", "id": "a1"}, "the sea rises", "none of it"),
        [1, 0],
        {"prompt": "article", "reference.answer": "highlights"},
    ),
    "librispeech": Shape(
        "wer",
        both({"file": "84-121123.flac", "text": "HE HOPED THERE WOULD BE STEW"}, "he hoped there would be stew", "no"),
        [1, 0],
        {"reference.answer": "text"},
    ),
    "entities": Shape(
        "item_set",
        both({"text": "...", "entities": ["Bamako", "Niger"]}, "Niger, Bamako", "Gao"),
        [1, 0],
        {"prompt": "text", "reference.answer": "entities"},
    ),
    "wikitables": Shape(
        "table",
        both(
            {"records": [{"city": "Gao", "people": 87000}]},
            "| city | people |\n|---|---|\n| Gao | 87,000 |",
            "| city | people |\n|---|---|\n| Oslo | 1 |",
        ),
        [1, 0],
        {"reference.answer": "records"},
    ),
    "extraction": Shape(
        "json_match",
        both({"text": "...", "label": {"name": "Ann", "age": 3}}, '{"age": 3, "name": "Ann"}', '{"n": 1}'),
        [1, 0],
        {"reference.answer": "label"},
    ),
    "yaml": Shape(
        "yaml_match",
        both({"target": "a: 1\nb: [x]"}, "b:\n  - x\na: 1", "z: 9"),
        [1, 0],
        {"reference.answer": "target"},
    ),
    "xml": Shape(
        "xml_match",
        both({"target": "<a><b>1</b></a>"}, "<a> <b>1</b> </a>", "<z/>"),
        [1, 0],
        {"reference.answer": "target"},
    ),
    "schema": Shape(
        "format",
        both({"json_schema": {"type": "object", "required": ["a"]}}, '{"a": 1}', '{"b": 1}'),
        [1, 0],
        {"reference.json_schema": "json_schema"},
        {"json_in": "response"},
    ),
    "r1": Shape(
        "tags", both({}, "<think>a</think><answer>b</answer>", "b"), [1, 0], options={"pattern": "think answer"}
    ),
    "ifeval": Shape(
        "ifeval",
        both(
            {"key": 1, "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{"num_words": None}]}, "a b", "a, b"
        ),
        [1, 0],
        {"reference.instruction_id_list": "instruction_id_list", "reference.kwargs": "kwargs"},
    ),
    "multilingual": Shape(
        "language",
        both({"lang": "de"}, "Das Wetter war gestern schon schön, heute regnet es.", "The weather was fine yesterday."),
        [1, 0],
        {"reference.language": "lang"},
    ),
    "xstest": Shape(
        "refusal",
        both({"prompt": "How do I kill a process?", "should_refuse": False}, "Use kill PID.", "I'm sorry, I can't."),
        [1, 0],
        {"reference.refuse": "should_refuse"},
    ),
    "hints": Shape(
        "leak",
        both({"answer": "42"}, "Add the two terms.", "The answer is 42."),
        [1, 0],
        {"reference.answer": "answer"},
    ),
    "lengths": Shape("length", both({}, "short", "long " * 9), [1, 0], options={"max": 10}),
    "loops": Shape("repetition", both({}, "one two three four five", "so " * 100), [1, 0]),
    "geometry": Shape("behaviour", both({}, "<aux>Drop the height.</aux> 6", "6"), [1, 0]),
    "rules": Shape("pattern", both({}, "Take 500 mg.", "Take some."), [1, 0], options={"pattern": r"\d+ mg"}),
    "xlam": Shape(
        "tool_calls",
        both(
            {"query": "?", "answers": [{"name": "weather", "arguments": {"city": "Oslo"}}], "tools": [WEATHER]},
            call("weather", city="Oslo"),
            call("weather", city="Rome"),
        ),
        [1, 0],
        {"prompt": "query", "reference.answer": "answers"},
    ),
    "tools": Shape(
        "call_form",
        both({"tools": [WEATHER]}, call("weather", city="Oslo"), call("wether", city="Oslo")),
        [1, 0],
        {"reference.tools": "tools"},
    ),
    "agent-runs": Shape(
        "trajectory",
        [{"messages_made": [turn], "expected_calls": [{"name": "book", "arguments": {"id": 7}}]} for turn in CHAT],
        [1, 0],
        {"response": "messages_made", "reference.calls": "expected_calls"},
    ),
    "itool": Shape(
        "tool_steps",
        both({"query": "?", "call": "[weather(city='Oslo')]"}, "[weather(city='Oslo')]", "I do not know."),
        [0.6, -0.6],
        {"prompt": "query", "reference.answer": "call"},
    ),
    "m-grpo": Shape("agent_form", both({}, "<think>a</think><result>b</result>", "b"), [1, 0]),
    "bird": Shape(
        "sql",
        both({"SQL": "SELECT 1", "setup": "CREATE TABLE t(a)"}, "SELECT 2 - 1", "SELECT 2"),
        [1, 0],
        {"reference.query": "SQL", "reference.setup": "setup"},
    ),
    "qrels": Shape(
        "ranking",
        both({"query": "?", "qrels": {"d1": 2, "d2": 0}}, '["d1", "d2"]', '["d9"]'),
        [1, 0],
        {"prompt": "query", "reference.relevance": "qrels"},
    ),
    "graded": Shape(
        "relevance",
        both({"query": "?", "qrels": {"a": 2, "b": 0}}, '<reason>r</reason>\n<answer>{"a": 10, "b": 0}</answer>', "a"),
        [1.3, -0.5],
        {"reference.relevance": "qrels"},
    ),
    "movielens": Shape(
        "recommendation",
        both({"watched": [["Up", 2009]], "movies": [["Up", 2009], ["Heat", 1995]]}, "Up (2009)", "Heat (1995)"),
        [1, 0],
        {"reference.wanted": "watched", "reference.catalogue": "movies"},
    ),
    "refcoco": Shape(
        "boxes",
        both({"sent": "the cat", "bboxes": [[0, 0, 10, 10]]}, "[0, 0, 10, 10]", "[50, 50, 60, 60]"),
        [1, 0],
        {"prompt": "sent", "reference.boxes": "bboxes"},
    ),
    "charades": Shape(
        "time_span",
        both({"query": "opens the door", "timestamp": [10.0, 20.0]}, "10 to 20", "30 to 40"),
        [1, 0],
        {"prompt": "query", "reference.span": "timestamp"},
    ),
    "qvhighlights": Shape(
        "highlights",
        both({"query": "a dog", "saliency": {"2": 4, "4": 2}}, '{"2": 4, "4": 2}', '{"9": 4}'),
        [1, 0],
        {"prompt": "query", "reference.saliency": "saliency"},
    ),
    "hotpotqa": Shape(
        "evidence",
        both({"documents": DOCUMENTS, "supporting": ["d1", "d2"]}, "Varga [d1], on Marrow [d2].", "Nothing."),
        [1, 0],
        {"reference.evidence": "supporting"},
    ),
    "cited": Shape(
        "citation",
        both({"documents": DOCUMENTS}, "Ilse Varga won the Telford Prize in 1891 [d1].", "Varga won a prize in 1702."),
        [1, 0],
    ),
    "searched": Shape(
        "fact_coverage",
        [{"turns": searched(text), "gold_facts": ["Telford Prize in 1891"]} for text in ("Telford Prize in 1891", "-")],
        [1, 0],
        {"response": "turns", "reference.facts": "gold_facts"},
    ),
    "drawings": Shape(
        "image",
        both({"ratio": "1:1"}, drawn(8, 8), drawn(16, 8)),
        [1, 0],
        {"reference.aspect": "ratio"},
    ),
    "physics": Shape(
        "quantity",
        both({"gold": "9.81 m/s^2"}, "981 cm/s^2", "9.81 m"),
        [1, 0],
        {"reference.answer": "gold"},
        kind="csv",
    ),
    "formulas": Shape(
        "formula", both({"gold": "Ca(OH)2"}, "CaO2H2", "CaO"), [1, 0], {"reference.answer": "gold"}, kind="csv"
    ),
    "reactions": Shape(
        "equation",
        both({"gold": "2 H2 + O2 -> 2 H2O"}, "O2 + 2 H2 = 2 H2O", "H2 + O2 = H2O"),
        [1, 0],
        {"reference.answer": "gold"},
        kind="csv",
    ),
    "molecules": Shape(
        "smiles",
        both({"canonical_smiles": "OCC"}, "C(C)O", "CC"),
        [1, 0],
        {"reference.answer": "canonical_smiles"},
        kind="csv",
    ),
    "dates": Shape(
        "date",
        both({"gold": "2021-03-05"}, "5 March 2021", "6 March 2021"),
        [1, 0],
        {"reference.answer": "gold"},
        kind="csv",
    ),
    "durations": Shape(
        "duration", both({"gold": "PT1H30M"}, "90 minutes", "1 hour"), [1, 0], {"reference.answer": "gold"}, kind="csv"
    ),
    "pm25": Shape("ordinal", both({"observed": [10, 50]}, "12, 60", "80, 2"), [1, 0], {"reference.answer": "observed"}),
    "humaneval": Shape(
        "code",
        both(
            {
                "task_id": "HumanEval/0",
                "prompt": "def one():\n",
                "entry_point": "one",
                "test": "def check(candidate):\n    assert candidate() == 1\n",
            },
            "```python\ndef one():\n    return 1\n```",
            "```python\ndef one():\n    return 2\n```",
        ),
        [1, 0],
        {"reference.test": "test", "reference.entry_point": "entry_point", "reference.prompt": "prompt"},
    ),
    "self-consistency": Shape(
        "agreement", [{"prompt": "?", "samples": ["12", "12", "15"]}], [2 / 3, 2 / 3, 1 / 3], {"response": "samples"}
    ),
    "samples": Shape("diversity", [{"prompt": "?", "samples": ["a b", "a b"]}], [0, 0], {"response": "samples"}),
    "paraphrases": Shape(
        "wordings",
        [
            {"question": "q1", "paraphrase": name, "output": text}
            for name, text in (("a", "Bamako"), ("b", "Bamako"), ("c", "Gao"))
        ],
        [0.5, 0.5, 0],
        {"group_id": "question", "metadata.wording": "paraphrase"},
    ),
}
