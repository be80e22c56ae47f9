"""Presets: named estimators with their defaults, source and certainty.

A preset is a function ``(batch, *, options) -> Signal``, or a class whose instances are called with a batch
and keep state. `register` puts it into the registry; `preset` binds options and returns an `Estimator`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from ._batch import SignalBatch
from ._errors import BadOption, MissingInput, NeedsWholeBatch, StateMismatch, UnknownPreset, did_you_mean
from ._signal import Signal

# Imported here, before the package binds the function of the same name, and not when the first preset is asked for:
# that late an import would put the package in the function's place.
from .presets import FAMILIES

Needs = Literal["row", "group", "batch", "state"]
Room = Literal[
    "combination",
    "shaping",
    "advantage",
    "credit",
    "selection",
    "guidance",
    "crossprompt",
    "preference",
    "weights",
    "evaluation",
]
Certainty = Literal["code", "paper", "secondary", "abstract"]

_ORDER: tuple[Needs, ...] = get_args(Needs)
_T = TypeVar("_T", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, eq=False)
class Spec:
    """What is known of a preset.

    Attributes:
        name: name in a recipe; ``release/NAME`` for one that reproduces a release's departure from its paper.
        target: the function or class.
        room: the part of the package it belongs to.
        needs: how much of the step must be present: a ``row``, the whole ``group``, the whole ``batch``, or
            ``state`` carried over steps (which implies the whole batch). May depend on options that have a
            default.
        inputs: names of `INPUTS` it needs. ``a|b`` means either.
        certainty: whether the authors' code, the paper, a secondary source or only the abstract was read.
        source: paper and section, or repository, path and revision.
        formula: one line.
        papers: keys of the papers it implements.
        reducible: whether a reduce hook makes it right on a shard.
        optional: names of `INPUTS` it reads where the batch carries them.
    """

    name: str
    target: Callable[..., Any]
    room: Room
    needs: Needs | Callable[[Mapping[str, Any]], Needs]
    inputs: tuple[str, ...]
    certainty: Certainty
    source: str
    formula: str
    papers: tuple[str, ...] = ()
    reducible: bool = False
    optional: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """First line of the target's docstring."""
        return (inspect.getdoc(self.target) or "").partition("\n")[0]

    @property
    def details(self) -> str:
        """The target's docstring up to its first section of arguments."""
        text = inspect.getdoc(self.target) or ""
        return text.partition("\n\nArgs:")[0].partition("\n\nAttributes:")[0]

    @property
    def required(self) -> tuple[str, ...]:
        """Options that have no default."""
        return tuple(p.name for p in _options(self.target) if p.default is p.empty)

    @property
    def defaults(self) -> dict[str, Any]:
        """Options that have a default, with it."""
        return {p.name: p.default for p in _options(self.target) if p.default is not p.empty}


_SPECS: dict[str, Spec] = {}


def register(
    name: str,
    *,
    room: Room,
    needs: Needs | Callable[[Mapping[str, Any]], Needs],
    inputs: tuple[str, ...],
    certainty: Certainty,
    source: str,
    formula: str,
    papers: tuple[str, ...] = (),
    reducible: bool = False,
    optional: tuple[str, ...] = (),
) -> Callable[[_T], _T]:
    """Decorate the function or class of a preset; see `Spec` for the arguments."""

    def add(target: _T) -> _T:
        if name in _SPECS:
            raise BadOption(f"preset {name!r} is registered twice; choose another name")
        _SPECS[name] = Spec(name, target, room, needs, inputs, certainty, source, formula, papers, reducible, optional)
        return target

    return add


class Estimator:
    """A preset with its options bound.

    Attributes:
        spec: the preset.
        options: every option with the value in force.
    """

    __slots__ = ("_run", "options", "spec")

    def __init__(self, spec: Spec, options: Mapping[str, Any]) -> None:
        self.spec = spec
        self.options = {**spec.defaults, **options}
        target: Any = spec.target
        self._run: Any = target(**options) if inspect.isclass(target) else partial(target, **options)

    @property
    def name(self) -> str:
        """Name of the preset."""
        return self.spec.name

    @property
    def needs(self) -> Needs:
        """How much of the step must be present under these options."""
        needs = self.spec.needs
        return needs(self.options) if callable(needs) else needs

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs it reads."""
        return self.spec.inputs

    def __call__(self, batch: SignalBatch) -> Signal:
        """Compute the signal of a batch.

        Raises:
            MissingInput: the batch lacks an input.
            NeedsWholeBatch: the batch is a shard, and the estimator cannot work on one.
        """
        for wanted in self.inputs:
            if not any(name in batch for name in wanted.split("|")):
                raise MissingInput(
                    f"{self.name}: needs {wanted.replace('|', ' or ')}, which the batch does not carry; "
                    f"pass it to SignalBatch"
                )
        if batch.sharded and _ORDER.index(self.needs) >= _ORDER.index("batch"):
            if not self.spec.reducible:
                raise NeedsWholeBatch(f"{self.name}: needs the whole step's rollouts; call it where they are gathered")
            if batch.reduce is None:
                raise NeedsWholeBatch(
                    f"{self.name}: takes statistics over the whole step; gather the rollouts, or pass "
                    "reduce= (a sum over ranks) to SignalBatch"
                )
        signal: Signal = self._run(batch)
        return signal

    @property
    def keeper(self) -> Any:
        """The object that keeps the state of a preset with ``needs="state"``, with whatever else it offers.

        `preset("spo")` has one whose ``start`` takes in what offline samples showed of a prompt.
        """
        return self._run if inspect.isclass(self.spec.target) else None

    def state_dict(self) -> dict[str, Any]:
        """JSON-serialisable state; empty for a preset that keeps none."""
        if not hasattr(self._run, "state_dict"):
            return {}
        return {"preset": self.name, "state": self._run.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken.

        Raises:
            StateMismatch: the state belongs to another preset.
        """
        if not hasattr(self._run, "load_state_dict"):
            if state:
                raise StateMismatch(f"{self.name}: keeps no state, but one of {state.get('preset')!r} was given")
            return
        if state.get("preset") != self.name:
            raise StateMismatch(f"{self.name}: the state given is of {state.get('preset')!r}; load it into that preset")
        self._run.load_state_dict(state["state"])

    def __repr__(self) -> str:
        chosen = ", ".join(f"{key}={value!r}" for key, value in self.options.items())
        return f"preset({self.name!r}{', ' if chosen else ''}{chosen})"


def preset(name: str, **overrides: Any) -> Estimator:
    """The estimator of that name, with some of its options overridden.

    Raises:
        UnknownPreset: with the closest names.
        BadOption: an option that the preset does not have, or a value of the wrong type.
    """
    spec = spec_of(name)
    _check_overrides(spec, overrides)
    return Estimator(spec, overrides)


def presets(room: Room | None = None) -> list[Spec]:
    """All presets, or those of one room, by name."""
    _load_all()
    return sorted((s for s in _SPECS.values() if room in (None, s.room)), key=lambda spec: spec.name)


def spec_of(name: str) -> Spec:
    """The registered spec of a preset.

    Raises:
        UnknownPreset: no preset has that name.
    """
    if name not in _SPECS:
        _load_all()
    if name not in _SPECS:
        raise UnknownPreset(f"no preset is called {name!r}; {did_you_mean(name, _SPECS)}presets() lists all")
    return _SPECS[name]


def _load_all() -> None:
    for family in FAMILIES:
        import_module(f"{__package__}.presets.{family}")


def _options(target: Callable[..., Any]) -> Sequence[inspect.Parameter]:
    return [p for p in inspect.signature(target).parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]


def _check_overrides(spec: Spec, overrides: Mapping[str, Any]) -> None:
    wanting = [option for option in spec.required if option not in overrides]
    if wanting:
        raise BadOption(f"{spec.name}: {', '.join(wanting)} must be given; {spec.name} has no default for it")
    if not overrides:
        return
    known = (*spec.required, *spec.defaults)
    target: Any = spec.target
    hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    for option, value in overrides.items():
        if option not in known:
            offered = f"it has {', '.join(known)}" if known else "it has none"
            raise BadOption(f"{spec.name}: no option {option!r}; {did_you_mean(option, known)}{offered}")
        if not _fits(value, hints.get(option, Any)):
            raise BadOption(f"{spec.name}: {option} = {value!r} is not {_show(hints[option])}")


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value from a recipe fits an annotation; TOML lists stand for tuples."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in args
    if origin in (tuple, list, Sequence):
        return isinstance(value, (list, tuple)) and all(_fits(v, args[0]) for v in value)
    if args and origin not in (dict, Mapping):
        return any(_fits(value, arg) for arg in args)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return not isinstance(hint, type) or isinstance(value, hint)


def _show(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return "one of " + ", ".join(map(repr, get_args(hint)))
    return getattr(hint, "__name__", str(hint))
