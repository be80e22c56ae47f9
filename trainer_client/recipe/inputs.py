"""Where the inputs of a recipe's methods come from: its table ``[inputs]``, and what is known without it.

A source is written as text: a reward (``"math"``), an aspect of its verdict (``"citation.coverage"``), a field of the
rollout (``"response"``), a key of its metadata (``"metadata.helped"``) or of its extra fields (``"extra.logprobs"``),
the rewards of an earlier stage (``"stage.rubric_reward"``), what a verdict's evidence holds
(``"near.evidence.embedding"``), or ``"call"``, where code passes it to ``table.estimate``. A table adds a comparison or
a factor; a list makes columns of several sources, a list of lists makes rows of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from trainer_client._errors import RecipeError
from trainer_client.recipe.rewards import Reward

if TYPE_CHECKING:
    from trainer_client.signals import Estimator, Pipeline

_OneSetting: TypeAlias = str | float | Mapping[str, Any]
InputSetting: TypeAlias = _OneSetting | Sequence[_OneSetting | Sequence[_OneSetting]]
Kind: TypeAlias = Literal["reward", "aspect", "field", "metadata", "extra", "stage", "call", "number", "evidence"]

FIELDS = ("prompt", "response", "token_ids", "finish_reason", "task", "group_id", "rollout_id", "reference")
"""Fields of a rollout that a source may name; ``reference`` may go on with a key."""
_WORDS = (*FIELDS, "metadata", "extra", "stage", "call")
_EVIDENCE = "evidence"
COMPARISONS = ("at_least", "above", "at_most", "below")
_FROM_ROLLOUT = ("field", "metadata", "extra")


@dataclass(frozen=True, slots=True)
class Source:
    """Where an input, or a column of one, comes from.

    Attributes:
        kind: what is read.
        name: the reward, field or stage; empty for metadata, extra fields and numbers.
        path: keys below it; for an aspect, its name; for evidence, the keys in it.
        comparison: makes a truth value of a number: ``at_least``, ``above``, ``at_most`` or ``below``.
        threshold: what is compared with.
        times: factor of a number.
        plus: what is added to the product.
    """

    kind: Kind
    name: str = ""
    path: tuple[str, ...] = ()
    comparison: str = ""
    threshold: float = 0.0
    times: float = 1.0
    plus: float = 0.0

    @property
    def is_of_rollout(self) -> bool:
        """Whether it is known before anything is scored."""
        return self.kind in _FROM_ROLLOUT

    @property
    def base(self) -> str:
        """What is read, without what is made of it."""
        if self.kind == "evidence":
            return ".".join((self.name, _EVIDENCE, *self.path))
        first = {"metadata": "metadata", "extra": "extra", "stage": "stage", "call": "call"}.get(self.kind)
        parts = ([first] if first else []) + ([self.name] if self.name else []) + list(self.path)
        return ".".join(parts)

    def __str__(self) -> str:
        if self.kind == "number":
            return f"{self.threshold:g}"
        compared = f" {self.comparison} {self.threshold:g}" if self.comparison else ""
        times = f" times {self.times:g}" if self.times != 1.0 else ""
        plus = f" {'plus' if self.plus > 0 else 'less'} {abs(self.plus):g}" if self.plus else ""
        return f"{self.base}{times}{plus}{compared}"


Rows: TypeAlias = tuple[tuple[Source, ...], ...]
Bound: TypeAlias = Source | tuple[Source, ...] | Rows


def sources_of(bound: Bound) -> list[Source]:
    """The sources of an input, row by row."""
    if isinstance(bound, Source):
        return [bound]
    return [source for one in bound for source in ([one] if isinstance(one, Source) else one)]


def written(bound: Bound) -> str:
    """The sources of an input, as a reader sees them; rows stand in brackets."""
    if isinstance(bound, Source):
        return str(bound)
    return ", ".join(str(one) if isinstance(one, Source) else f"[{written(one)}]" for one in bound)


_HELD = {
    "texts": Source("field", "response"),
    "questions": Source("field", "prompt"),
    "token_ids": Source("field", "token_ids"),
    "token_lists": Source("field", "token_ids"),
    "lengths": Source("field", "token_ids"),
    "truncated": Source("field", "finish_reason"),
}
"""Inputs that every rollout holds, or may hold, under another name."""
_OF_TABLE = ("rewards", "groups", "components", "components_valid")
_OF_SOLE_REWARD = ("correct", "accuracy")
"""What the only reward of a recipe is: whether the answer is right."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What supplies each input of a method.

    Attributes:
        reads: every input that the method may read.
        bound: source of each input that has one; those that the table itself makes are not among them.
        held: names in ``bound`` that the recipe does not name: they are read where the rollouts have them.
        needed: the inputs that cannot be missing, as the method declares them: ``"a|b"`` is either.
        apart: names of the rewards that make ``rewards`` where the method wants them without what ``components`` hold;
            empty where they are the whole.
    """

    reads: frozenset[str]
    bound: Mapping[str, Bound]
    held: frozenset[str]
    needed: tuple[str, ...]
    apart: tuple[str, ...] = ()

    @property
    def rewards(self) -> frozenset[str]:
        """Names of the rewards whose scores or verdicts an input is read from."""
        all_sources = (source for sources in self.sources().values() for source in sources)
        return frozenset(source.name for source in all_sources if source.kind in ("reward", "aspect", "evidence"))

    def sources(self) -> dict[str, list[Source]]:
        """The sources of each bound input."""
        return {name: sources_of(bound) for name, bound in self.bound.items()}


def read_inputs(settings: Mapping[str, Any], rewards: Sequence[Reward]) -> dict[str, Bound]:
    """The sources that a recipe's ``inputs`` name.

    Raises:
        RecipeError: with the key and the remedy.
    """
    from trainer_client.signals import INPUTS
    from trainer_client.signals._errors import did_you_mean

    names = [reward.name for reward in rewards]
    bound: dict[str, Bound] = {}
    problems: list[RecipeError] = []
    for name, setting in settings.items():
        place = f"inputs.{name}"
        try:
            if name not in INPUTS:
                raise RecipeError(
                    f"is not an input of any method; {did_you_mean(name, INPUTS)}`assay methods` lists them", place
                )
            bound[name] = _bound(place, setting, len(INPUTS[name].axes), names)
        except RecipeError as error:
            problems.append(error)
    if problems:
        raise RecipeError.of_all(problems)
    return bound


def _bound(place: str, setting: Any, axes: int, rewards: Sequence[str]) -> Bound:
    if not isinstance(setting, list | tuple):
        return _source(place, setting, rewards)
    if axes < 2:
        raise RecipeError("has one value per rollout; give one source, not a list", place)
    if not setting:
        raise RecipeError("is empty; name at least one source, or leave the key out", place)
    if axes < 3 and any(isinstance(one, list | tuple) for one in setting):
        raise RecipeError("is one list of sources, and not a list of lists", place)
    bound = _rows(place, setting, rewards) if axes == 3 else _columns(place, setting, rewards)
    named = [source for source in sources_of(bound) if source.kind != "number"]
    if twice := next((source for at, source in enumerate(named) if source in named[:at]), None):
        raise RecipeError(f"{str(twice)!r} is named twice and would count twice; remove one of the two", place)
    return bound


def _rows(place: str, setting: Sequence[Any], rewards: Sequence[str]) -> Rows:
    rows = tuple(_columns(place, one, rewards) if isinstance(one, list | tuple) else () for one in setting)
    if len({len(row) for row in rows}) > 1 or not rows[0]:
        example = ", ".join(f'["{name}.yes", "{name}.no"]' for name in rewards[:2])
        raise RecipeError(f"expected a list of lists of as many sources each, such as [{example}]", place)
    return rows


def _columns(place: str, setting: Sequence[Any], rewards: Sequence[str]) -> tuple[Source, ...]:
    sources = tuple(_source(place, source, rewards) for source in setting)
    for source in sources:
        if source.kind == "stage":
            raise RecipeError(f"{source.base} is a whole input and cannot be a column of a list; name it alone", place)
    return sources


def _source(place: str, setting: Any, rewards: Sequence[str]) -> Source:
    if isinstance(setting, int | float) and not isinstance(setting, bool):
        return Source("number", threshold=float(setting))
    if isinstance(setting, str):
        return _source_named(place, setting, rewards)
    if not isinstance(setting, Mapping) or not isinstance(setting.get("from"), str):
        raise RecipeError(f'expected "SOURCE" or {{ from = "SOURCE", at_least = 0.5 }}, found {setting!r}', place)
    source = _source_named(place, setting["from"], rewards)
    more = {key: value for key, value in setting.items() if key != "from"}
    for key, value in more.items():
        if key not in (*COMPARISONS, "times", "plus"):
            raise RecipeError(
                f"{key!r} is not a key here; known are from, times, plus, {', '.join(COMPARISONS)}", place
            )
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise RecipeError(f"{key}: expected a number, found {value!r}", place)
    compared = [key for key in COMPARISONS if key in more]
    if len(compared) > 1:
        raise RecipeError(f"give one of {', '.join(compared)}, not both", place)
    source = replace(source, times=float(more.get("times", 1.0)), plus=float(more.get("plus", 0.0)))
    return replace(source, comparison=compared[0], threshold=float(more[compared[0]])) if compared else source


def _source_named(place: str, text: str, rewards: Sequence[str]) -> Source:
    first, dot, member = text.partition(".")
    path = tuple(member.split(".")) if dot else ()
    if first in rewards and first in _WORDS:
        raise RecipeError(
            f"{first!r} is the name of a reward and a keyword for sources; give the reward another name", place
        )
    whole_name = text if text in rewards else ""
    if whole_name or first in rewards:
        if not whole_name and path[0] == _EVIDENCE and len(path) > 1:
            return Source("evidence", first, path[1:])
        return Source("reward", text) if whole_name else Source("aspect", first, (member,))
    if first in ("metadata", "extra", "stage"):
        if not member:
            raise RecipeError(f'{text!r} has no key; write "{first}.KEY"', place)
        return (
            Source("stage", member)
            if first == "stage"
            else Source("metadata" if first == "metadata" else "extra", "", path)
        )
    if text == "call":
        return Source("call")
    if first in FIELDS and (not path or first == "reference"):
        return Source("field", first, path)
    raise RecipeError(f"{text!r} is not a source; {_sources(rewards)}", place)


def _sources(rewards: Sequence[str]) -> str:
    return (
        f"sources are a reward ({', '.join(rewards)}), REWARD.ASPECT, REWARD.evidence.KEY, metadata.KEY, extra.KEY, "
        f"{', '.join(FIELDS)}, stage.NAME, and call, where code passes it to table.estimate"
    )


def plan_of(method: Estimator | Pipeline, bound: Mapping[str, Bound], rewards: Sequence[Reward]) -> Plan:
    """What supplies the inputs of a method.

    Raises:
        RecipeError: nothing supplies one that it needs, or one is named that it does not read.
    """
    from trainer_client.signals import INPUTS

    reads = ", ".join(sorted(method.reads))
    problems = [
        RecipeError(f"{method.name} does not read it; it reads {reads}. Leave it out", f"inputs.{name}")
        for name in bound
        if name not in method.reads
    ]
    sources = dict(bound)
    names = [reward.name for reward in rewards]
    for name in sorted(method.reads - bound.keys()):
        if name in _HELD:
            sources[name] = _HELD[name]
        elif (
            name in names
            and name not in _OF_TABLE
            and INPUTS[name].axes == "N"
            and INPUTS[name].kind in ("float", "bool")
        ):
            sources[name] = Source("reward", name)
        elif name in _OF_SOLE_REWARD and len(names) == 1 and name in _needed(method.inputs):
            sources[name] = Source("reward", names[0])
    beside = {INPUTS[name].beside for name in sources}
    for wish in method.inputs:
        choice = wish.split("|")
        if not any(name in sources or name in _OF_TABLE or name in beside for name in choice):
            problems.append(RecipeError(_missing(method.name, choice, names), "advantage"))
    problems += _misfits(method, bound, [reward.name for reward in rewards if not reward.is_monitor])
    if problems:
        raise RecipeError.of_all(problems)
    client_inputs = frozenset(sources) - frozenset(bound)
    return Plan(method.reads, sources, client_inputs, method.inputs, _apart(method, bound, names))


def _misfits(method: Estimator | Pipeline, bound: Mapping[str, Bound], rewards: Sequence[str]) -> Iterator[RecipeError]:
    """Stages that cannot take as many columns of ``components`` as there are."""
    from trainer_client.signals import Pipeline

    columns = bound.get("components", ())
    number = len(columns) if isinstance(columns, tuple) and columns else len(rewards)
    for stage in method.stages if isinstance(method, Pipeline) else (method,):
        if problem := stage.columns_problem(number):
            of = (
                ""
                if columns
                else f". The columns are the rewards {', '.join(rewards)}, unless [inputs] components says"
            )
            yield RecipeError(f"{stage.name}: {problem}{of}", "inputs.components" if columns else "advantage")


def _apart(method: Estimator | Pipeline, bound: Mapping[str, Bound], rewards: Sequence[str]) -> tuple[str, ...]:
    """The rewards that ``components`` do not name, where the method wants the two apart."""
    if not method.disjoint or "rewards" in bound:
        return ()
    columns = bound.get("components", ())
    listed = {column.name for column in sources_of(columns)}
    remaining = tuple(name for name in rewards if name not in listed)
    if not listed or not remaining:
        raise RecipeError(
            f"{method.name} adds components to rewards, so no reward may be in both; name the columns of components "
            f'([inputs] components = ["{rewards[-1]}"]): rewards is then the weighted sum of the remaining rewards',
            "advantage" if not listed else "inputs.components",
        )
    return remaining


def _needed(inputs: Sequence[str]) -> frozenset[str]:
    return frozenset(name for wish in inputs for name in wish.split("|"))


def _missing(method: str, choice: Sequence[str], rewards: Sequence[str]) -> str:
    from trainer_client.signals import INPUTS

    first = INPUTS[choice[0]]
    own = f'"{rewards[0]}" (a reward), ' if first.kind in ("float", "bool") and first.axes == "N" else ""
    return (
        f"{method} reads {' or '.join(choice)} ({first.meaning}), and nothing supplies it; add [inputs] {first.name} = "
        f'{own}"metadata.KEY" or "extra.KEY" (of each rollout), or "call" where code passes it to table.estimate'
    )


def refuse_calls(plan: Plan) -> None:
    """Refuse a recipe whose method wants what only code could pass, where no code does.

    Raises:
        RecipeError: with the input.
    """
    for name, sources in plan.sources().items():
        if any(source.kind == "call" for source in sources):
            raise RecipeError(
                "must be passed to table.estimate by code, and there is none; name a column, metadata.KEY or extra.KEY",
                f"inputs.{name}",
            )
