"""Rows of data sets in the shapes in which their users have them, for the models of `tests.verifiers.clear_models`."""

from __future__ import annotations

from tests.e2e.data_sets import Shape, both, drawn

MODEL_SHAPES = {
    "math-shepherd": Shape(
        "process",
        [{"problem": "17 + 25?", "solution": f"17 + 25 = {one}\n\nSo it is {one}"} for one in (42, 41)],
        [1, 0],
        {"prompt": "problem", "response": "solution"},
    ),
    "verifree": Shape(
        "likelihood",
        both({"question": "What do 3 and 4 make?", "answer": "7"}, "3 + 4", "4 - 3 - 3"),
        [1, 0],
        {"prompt": "question", "response": "output", "reference.answer": "answer"},
    ),
    "ultrafeedback": Shape(
        "comparison",
        [
            {"prompt": "Ask one question.", "chosen": "Does the ablation?", "rejected": "But why?"},
            {"prompt": "Ask one question.", "chosen": "But why?", "rejected": "Does the ablation?"},
        ],
        [27 / 28, 1 / 28],
        {"response": "chosen", "reference.opponent": "rejected"},
    ),
    "pass-rates": Shape(
        "value",
        [{"task": word, "past": [{"prompt": "moon.", "outcome": 1}]} for word in ("moon.", "sun.")],
        [0.75, 0.25],
        {"prompt": "task", "response": "task", "reference.history": "past"},
    ),
    "text-to-image": Shape(
        "image_text",
        both({"caption": "a red square"}, drawn(8, 8), "I cannot draw."),
        [0.5, 0],
        {"prompt": "caption", "response": "output"},
    ),
}
