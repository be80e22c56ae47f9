"""What a file with a grader of OpenAI's says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from reward_servers.core._schemas import explain
from reward_servers.styles._grader_text import METRICS, Formula, places_of

_FILE_BYTES = 4 << 20


class _Part(BaseModel):
    # What concerns their platform alone (pass_threshold, image_tag, ...) is read and has no effect.
    model_config = ConfigDict(extra="allow", frozen=True)

    name: str = ""

    def templates(self) -> Iterator[str]:
        """Its templates."""
        yield from ()

    @model_validator(mode="after")
    def _check_places(self) -> _Part:
        for template in self.templates():
            places_of(template)
        return self


class StringCheck(_Part):
    """Compares two texts."""

    type: Literal["string_check"]
    operation: Literal["eq", "ne", "like", "ilike"]
    input: str
    reference: str

    def templates(self) -> Iterator[str]:
        yield from (self.input, self.reference)


class TextSimilarity(_Part):
    """Measures how alike two texts are."""

    type: Literal["text_similarity"]
    evaluation_metric: str
    input: str
    reference: str

    def templates(self) -> Iterator[str]:
        yield from (self.input, self.reference)

    @model_validator(mode="after")
    def _check_metric(self) -> TextSimilarity:
        if self.evaluation_metric not in METRICS:
            raise ValueError(f"evaluation_metric {self.evaluation_metric!r} is not one of {', '.join(METRICS)}")
        return self


class Message(BaseModel):
    """A message to the model that grades."""

    model_config = ConfigDict(extra="allow", frozen=True)

    role: Literal["user", "assistant", "system", "developer"]
    content: str | dict[str, Any] | list[dict[str, Any]]

    @property
    def text(self) -> str:
        """Its text.

        Raises:
            ValueError: It holds something else.
        """
        parts = self.content if isinstance(self.content, list) else [self.content]
        texts = [part if isinstance(part, str) else part.get("text") for part in parts]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("a message to the model holds something that is no text")
        return "".join(str(text) for text in texts)


class ScoreModel(_Part):
    """Asks a model for a number."""

    type: Literal["score_model"]
    input: tuple[Message, ...] = Field(min_length=1)
    model: str = ""
    range: tuple[float, float] = (0.0, 1.0)
    sampling_params: dict[str, Any] = Field(default_factory=dict)

    def templates(self) -> Iterator[str]:
        yield from (message.text for message in self.input)

    @model_validator(mode="after")
    def _check_range(self) -> ScoreModel:
        if not self.range[0] < self.range[1]:
            raise ValueError(f"range {self.range} needs the lower number first")
        return self


class PythonGrader(_Part):
    """Runs ``grade(sample, item)``."""

    type: Literal["python"]
    source: str


Single = Annotated[StringCheck | TextSimilarity | ScoreModel | PythonGrader, Field(discriminator="type")]


class Multi(_Part):
    """Combines graders by a formula."""

    type: Literal["multi"]
    graders: dict[str, Single] = Field(min_length=1)
    calculate_output: str

    @model_validator(mode="after")
    def _check_formula(self) -> Multi:
        Formula(self.calculate_output, list(self.graders))
        return self


class Spec(BaseModel):
    """A grader."""

    grader: Annotated[StringCheck | TextSimilarity | ScoreModel | PythonGrader | Multi, Field(discriminator="type")]

    @property
    def parts(self) -> Mapping[str, StringCheck | TextSimilarity | ScoreModel | PythonGrader]:
        """The single graders by name; that of a file with one is empty."""
        return self.grader.graders if isinstance(self.grader, Multi) else {"": self.grader}


def read_spec(path: str) -> tuple[Spec, str]:
    """Read a file: a grader, or an object that holds one as ``grader``.

    Returns:
        The grader, and a version that follows from what the file holds.

    Raises:
        OSError: It cannot be read.
        ValueError: It holds no grader that can be served; the message names the field.
    """
    data = Path(path).read_bytes()
    if len(data) > _FILE_BYTES:
        raise ValueError(f"it has {len(data)} bytes; the limit is {_FILE_BYTES}")
    decoded = json.loads(data)
    if isinstance(decoded, dict) and "type" not in decoded and isinstance(decoded.get("grader"), dict):
        decoded = decoded["grader"]
    try:
        spec = Spec.model_validate({"grader": decoded})
    except ValidationError as error:
        raise ValueError(explain(error, "").replace(".grader", "grader")) from None
    canonical = json.dumps(decoded, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass")
    return spec, sha256(canonical).hexdigest()[:12]
