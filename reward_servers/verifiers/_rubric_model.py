"""What a rubric is: its criteria, where they come from, and the named sets that a server holds."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)

from reward_servers import Reference, Settings

Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Id = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\r\n]+$")]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
_BY_PLACE = re.compile(r"(?:criterion|weight)_\d+")
OWN_ASPECTS = ("missing_weight", "unclipped")
"""Aspects of a rubric that are no criterion."""


class Check(Reference):
    """A criterion that another verifier decides, in place of the judge.

    Attributes:
        verifier: Its name.
        reference: The reference that the verifier gets; None for the rollout's own.
        options: Its options.
    """

    verifier: Text
    reference: dict[str, Any] | None = None
    options: dict[str, Any] = Field(default_factory=dict)

    @property
    def may_ask_for_itself(self) -> bool:
        """Whether it is a rubric that may turn out to be the one that it is part of, which would never end."""
        rubric = (self.reference or {}).get("rubric")
        return self.verifier == "rubric" and (not isinstance(rubric, list) or bool(self.options.get("rubric")))


class Criterion(Reference):
    """One criterion; a negative weight, or the kind pitfall, makes it a penalty that meeting it costs.

    Attributes:
        id: Its name, and that of its aspect.
        text: A sentence that can be true of a response.
        weight: How much it counts.
        kind: ``must``, ``should`` or ``pitfall``; gates are made of those that must be met.
        requires: Criteria that must be met for this one to count.
        choices: Words to choose from, with the score of each, in place of yes and no.
        quote: Whether the judge must quote the words of the response that show it.
        pattern: A regular expression that decides, in place of the judge: whether it occurs in the visible response.
        check: Another verifier that decides.
        met_from: The lowest score that counts as met, for gates and for criteria that require this one.
    """

    id: Id
    text: str = ""
    weight: Annotated[float, Field(ge=-1e9, le=1e9)] = 1.0
    kind: Literal["must", "should", "pitfall"] = "should"
    requires: tuple[Text, ...] = Field((), max_length=100)
    choices: dict[Text, Annotated[float, Field(ge=0, le=1)]] = Field(default_factory=dict, max_length=32)
    quote: bool = False
    pattern: str = Field("", max_length=2000)
    check: Check | None = None
    met_from: float = Field(0.5, gt=0, le=1)

    @property
    def points(self) -> float:
        """The weight with its sign."""
        return -abs(self.weight) if self.kind == "pitfall" else self.weight

    @property
    def counts(self) -> bool:
        """Whether it bears on the score: by its weight, or as a gate, which may have none."""
        return bool(self.weight) or self.kind == "must"

    def is_met(self, value: float) -> bool:
        """Whether a score counts as met."""
        return value >= self.met_from

    @property
    def is_judged(self) -> bool:
        """Whether the judge decides."""
        return self.check is None and not self.pattern

    @model_validator(mode="before")
    @classmethod
    def _refuse_misspelt(cls, value: Any) -> Any:
        """Data sets may have further keys. A key that nearly equals one of ours is a misspelling and is refused."""
        if isinstance(value, dict):
            check = value.get("check")
            for label, keys, fields in (
                ("a criterion", value, cls.model_fields),
                ("its check", check if isinstance(check, dict) else {}, Check.model_fields),
            ):
                _refuse_misspelt(str(value.get("id", "")), label, keys, fields)
        return value

    @model_validator(mode="after")
    def _check(self) -> Criterion:
        problem = ""
        if self.id in OWN_ASPECTS or _BY_PLACE.fullmatch(self.id):
            problem = f"{self.id} is the name of an aspect that every rubric has; give it another id"
        elif self.check is not None and self.pattern:
            problem = "check and pattern exclude each other"
        elif self.check is not None and self.check.may_ask_for_itself:
            problem = 'check: a rubric within a rubric brings its own criteria; give reference = {"rubric": [...]}'
        elif self.is_judged and not self.text.strip():
            problem = "it needs a text, a pattern or a check"
        elif not self.is_judged and (self.choices or self.quote):
            problem = "choices and quote are for criteria that the judge decides"
        elif len(self.choices) == 1:
            problem = "choices: offer at least two words"
        elif self.kind == "must" and self.weight < 0:
            problem = "what must be met has no negative weight; make it a pitfall"
        elif self.pattern:
            try:
                re.compile(self.pattern)
            except re.error as error:
                problem = f"pattern: {error}"
        if problem:
            raise ValueError(f"criterion {self.id}: {problem}")
        return self


def _refuse_misspelt(name: str, label: str, keys: Iterable[Any], fields: Collection[str]) -> None:
    for key in keys:
        if key not in fields and (near := get_close_matches(str(key), fields, 1, 0.8)):
            raise ValueError(f"criterion {name}: {key!r} is no key of {label}; {near[0]} is")


Criteria = Annotated[tuple[Criterion, ...], Field(max_length=100)]


def check_criteria(criteria: tuple[Criterion, ...]) -> None:
    """Refuse criteria that do not fit each other.

    Raises:
        ValueError: Names the criterion.
    """
    by_id = {criterion.id: criterion for criterion in criteria}
    if not criteria:
        raise ValueError("rubric: give at least one criterion")
    if len(by_id) != len(criteria):
        twice = next(name for name, count in Counter(criterion.id for criterion in criteria).items() if count > 1)
        raise ValueError(f"two criteria have the id {twice!r}; ids must differ")
    if not any(criterion.weight for criterion in criteria):
        raise ValueError("no criterion has a weight other than 0")
    for criterion in criteria:
        for required in criterion.requires:
            if required not in by_id:
                raise ValueError(
                    f"criterion {criterion.id}: requires {required!r}, which is no criterion of this rubric"
                )
    levels_of(criteria)


def levels_of(criteria: tuple[Criterion, ...]) -> list[list[Criterion]]:
    """The criteria in the order in which they can be asked: each behind all that it requires.

    Raises:
        ValueError: Some require each other.
    """
    levels: list[list[Criterion]] = []
    placed: set[str] = set()
    left = list(criteria)
    while left:
        level = [criterion for criterion in left if placed.issuperset(criterion.requires)]
        if not level:
            raise ValueError(f"criterion {left[0].id}: it requires itself, through others")
        levels.append(level)
        placed.update(criterion.id for criterion in level)
        left = [criterion for criterion in left if criterion.id not in placed]
    return levels


def _form_of(value: Any) -> str:
    """The form of rubric that a data set has. Messages about mistakes then speak of that form alone."""
    return "set" if isinstance(value, str) else "criteria"


Given = Annotated[Annotated[Criteria, Tag("criteria")] | Annotated[Text, Tag("set")], Discriminator(_form_of)]


class RubricReference(Reference):
    """The criteria of a prompt.

    Attributes:
        rubric: The criteria, or the name of a set that the server holds, such as ``"medical@3"``; nothing where the
            recipe names one.
    """

    rubric: Given | None = None

    @model_validator(mode="after")
    def _check(self) -> RubricReference:
        if isinstance(self.rubric, tuple):
            check_criteria(self.rubric)
        return self


class PromptCriteria(BaseModel):
    """Criteria for one prompt of a set.

    Attributes:
        prompt: The prompt as text.
        criteria: The criteria.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompt: str
    criteria: Criteria

    @model_validator(mode="after")
    def _check(self) -> PromptCriteria:
        check_criteria(self.criteria)
        return self


class RubricFile(BaseModel):
    """What the file of a set holds.

    Attributes:
        version: Its version.
        criteria: The criteria for every prompt that has none of its own.
        prompts: Criteria for single prompts.
        made: How it was made, for the reader.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[str, StringConstraints(pattern=r"^[\w.-]{1,64}$")] = "1"
    criteria: Criteria = ()
    prompts: tuple[PromptCriteria, ...] = Field((), max_length=100_000)
    made: dict[str, Any] = Field(default_factory=dict)

    @cached_property
    def by_prompt(self) -> dict[str, tuple[Criterion, ...]]:
        """The criteria of single prompts."""
        return {prompt.prompt: prompt.criteria for prompt in self.prompts}

    @model_validator(mode="after")
    def _check(self) -> RubricFile:
        if not (self.criteria or self.prompts):
            raise ValueError("give criteria, prompts with criteria, or both")
        if self.criteria:
            check_criteria(self.criteria)
        if len(self.by_prompt) != len(self.prompts):
            raise ValueError("prompts: two are the same")
        return self


class SetSettings(Settings):
    """A file with the criteria of a set."""

    path: Path = Field(exclude=True)
    rubric: RubricFile | None = Field(None, description="What the file holds; given in its place, no file is read.")

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if not isinstance(value, dict) or "path" not in value or value.get("rubric"):
            return value
        path = Path(value["path"])
        try:
            content = json.loads(path.read_text("utf-8"))
            # Checked here for the path in the message.
            RubricFile.model_validate(content)
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} cannot be read: {error}; give a JSON file in UTF-8") from None
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise ValueError(f"{path}: {where}: {first['msg']}") from None
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is no JSON: {error}") from None
        return {**value, "rubric": content}


class RubricSettings(Settings):
    """The sets that a recipe or a data set can name."""

    sets: Mapping[Name, SetSettings] = Field(default_factory=dict, max_length=256)
