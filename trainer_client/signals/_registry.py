"""Finding methods by name, and binding their options.

A stage is a package; each of its modules without a leading underscore is the file of a method and is found by being
there. Nothing of a stage is imported before a method is asked for.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from functools import cache, partial
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Literal, get_args, get_origin, get_type_hints

from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import (
    InputError,
    MissingInputError,
    OptionError,
    StateMismatchError,
    UnknownMethodError,
    WholeBatchError,
    did_you_mean,
)
from trainer_client.signals._inputs import INPUTS
from trainer_client.signals._method import METHODS, NEEDS, STAGES, Method, Needs, Stage
from trainer_client.signals._signal import Signal
from trainer_client.signals._turns import Turns, joins


class Estimator:
    """A method with its options bound.

    Attributes:
        spec: the method.
        options: every option with the value in force.
    """

    __slots__ = ("_run", "options", "spec")

    def __init__(self, spec: Method, options: Mapping[str, Any]) -> None:
        self.spec = spec
        self.options = {**spec.defaults, **options}
        target: Any = spec.target
        self._run: Any = target(**options) if inspect.isclass(target) else partial(target, **options)

    @property
    def name(self) -> str:
        """Name of the method."""
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

    @property
    def reads(self) -> frozenset[str]:
        """Names of all inputs that it may read."""
        return self.spec.reads

    @property
    def disjoint(self) -> bool:
        """Whether ``rewards`` must not hold what is in ``components``."""
        return self.spec.disjoint

    def columns_problem(self, number: int) -> str:
        """Why it cannot take so many columns of ``components``; empty where it can, or reads none."""
        if self.spec.columns is None or "components" not in self.reads:
            return ""
        return self.spec.columns(self.options, number)

    def __call__(self, batch: SignalBatch) -> Signal:
        """Compute the signal of a batch.

        A batch that carries ``trajectories`` has rows that are turns. Where the method does not read them itself, each
        trajectory counts once, and its advantage goes to all of its rows.

        Raises:
            MissingInputError: the batch lacks an input.
            InputError: the batch carries an input that the method does not read.
            WholeBatchError: the batch is a shard, and the estimator cannot work on one.
        """
        refuse_unread(self.name, self.reads, batch)
        return self.apply(batch)

    def apply(self, batch: SignalBatch) -> Signal:
        """The same for a stage of a pipeline, whose batch carries what other stages read as well."""
        for wish in self.inputs:
            if not any(name in batch for name in wish.split("|")):
                raise MissingInputError(
                    f"{self.name}: needs {wish.replace('|', ' or ')}, which the batch does not carry; "
                    f"pass it to SignalBatch"
                )
        reads = "components" in self.reads and "components" in batch
        if reads and (problem := self.columns_problem(batch["components"].shape[1])):
            raise InputError(f"components: {self.name}: {problem}")
        if batch.sharded and NEEDS.index(self.needs) >= NEEDS.index("batch"):
            if not self.spec.reducible:
                raise WholeBatchError(f"{self.name}: needs the whole step's rollouts; call it where they are gathered")
            if batch.reduce is None:
                raise WholeBatchError(
                    f"{self.name}: takes statistics over the whole step; gather the rollouts, or pass "
                    "reduce= (a sum over ranks) to SignalBatch"
                )
        if joins(batch, self.reads):
            turns = Turns(batch, self.name, self.reads)
            if not turns.alike:
                return turns.spread(self._run(turns.joined))
        signal: Signal = self._run(batch)
        return signal

    @property
    def tracker(self) -> Any:
        """The object that keeps the state of a method with ``needs="state"``, with whatever else it offers.

        `method("spo")` has one whose ``start`` takes in what offline samples showed of a prompt.
        """
        return self._run if inspect.isclass(self.spec.target) else None

    def state_dict(self) -> dict[str, Any]:
        """JSON-serialisable state; empty for a method that keeps none."""
        if not hasattr(self._run, "state_dict"):
            return {}
        return {"method": self.name, "state": self._run.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken.

        Raises:
            StateMismatchError: the state belongs to another method.
        """
        if not hasattr(self._run, "load_state_dict"):
            if state:
                raise StateMismatchError(f"{self.name}: keeps no state, but one of {state.get('method')!r} was given")
            return
        if state.get("method") != self.name:
            raise StateMismatchError(
                f"{self.name}: the state given is of {state.get('method')!r}; load it into that method"
            )
        self._run.load_state_dict(state["state"])

    def __repr__(self) -> str:
        chosen = ", ".join(f"{key}={value!r}" for key, value in self.options.items())
        return f"method({self.name!r}{', ' if chosen else ''}{chosen})"


_SHAPE = frozenset({"groups", "lengths", "mask", "trajectories"})
"""Inputs that say what the rows are; carrying them is no wish that a method could leave unheard."""


def refuse_unread(name: str, reads: frozenset[str], batch: SignalBatch) -> None:
    """Refuse inputs that were given and would change nothing.

    Raises:
        InputError: the batch carries one.
    """
    unread = sorted(batch.names - reads - _SHAPE)
    if unread:
        raise InputError(
            f"{unread[0]}: {name} does not read it; it reads {', '.join(sorted(reads))}. Leave it out, remove it with "
            f"batch.replace({unread[0]}=None), or choose a method that reads it"
        )


def method(name: str, **overrides: Any) -> Estimator:
    """The estimator of a method, with some of its options overridden.

    Raises:
        UnknownMethodError: with the closest names.
        OptionError: an option that the method does not have, or a value of the wrong type.
    """
    spec = method_of(name)
    _check_overrides(spec, overrides)
    return Estimator(spec, overrides)


def methods(stage: Stage | None = None) -> list[Method]:
    """All methods, or those of one stage, by name."""
    load_all()
    return sorted((m for m in METHODS.values() if stage in (None, m.stage)), key=lambda m: m.name)


def method_of(name: str) -> Method:
    """What is known of a method.

    Args:
        name: its name; or ``module:function`` for one of one's own, of any module that can be imported.

    Raises:
        UnknownMethodError: no method has that name.
    """
    if isinstance(name, str) and ":" in name:
        return _own(name)
    if name not in METHODS:
        _load_near(name)
    if name not in METHODS:
        load_all()
    if name not in METHODS:
        raise UnknownMethodError(f"no method is called {name!r}; {did_you_mean(name, METHODS)}methods() lists all")
    return METHODS[name]


def load_named(setting: str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]) -> None:
    """Import the modules of one's own that a setting of methods names, and so declare what their methods read.

    Raises:
        UnknownMethodError: one cannot be imported, or registers no such method.
    """
    for stage in [setting] if isinstance(setting, str | Mapping) else setting:
        name = stage.get("name") if isinstance(stage, Mapping) else stage
        if isinstance(name, str) and ":" in name:
            _own(name)


def _own(name: str) -> Method:
    module, _, attribute = name.partition(":")
    try:
        owner = import_module(module)
    except ImportError as error:
        raise UnknownMethodError(
            f"{name}: {module} cannot be imported ({error}); a module is looked for where Python imports from, and by "
            "commands beside the recipe and in the working directory"
        ) from error
    except Exception as error:
        raise UnknownMethodError(f"{name}: {module} cannot be loaded: {type(error).__name__}: {error}") from error
    target = getattr(owner, attribute, None)
    for each in METHODS.values():
        if target is not None and each.target is target:
            return each
    raise UnknownMethodError(
        f"{name}: {module} has no method {attribute!r}; decorate the function with register() of "
        "trainer_client.signals.authoring"
    )


@cache
def load_all() -> None:
    """Import the file of every method."""
    for modules in _files().values():
        for module in modules:
            import_module(module)


@cache
def _files() -> Mapping[str, Sequence[str]]:
    """Modules that hold methods, by the last part of their names."""
    files: dict[str, list[str]] = {}
    for stage in STAGES:
        package = import_module(f"{__package__}.{stage}")
        for module in iter_modules(package.__path__):
            if not module.name.startswith("_"):
                files.setdefault(module.name, []).append(f"{package.__name__}.{module.name}")
    return files


def _load_near(name: str) -> None:
    """Import the files that a method is likely to be in: those called as it is, or as it begins."""
    stem = name.removeprefix("release/") if isinstance(name, str) else ""
    while stem:
        for module in _files().get(stem, ()):
            import_module(module)
        if name in METHODS:
            return
        stem = stem.rpartition("_")[0]


def _check_overrides(spec: Method, overrides: Mapping[str, Any]) -> None:
    wanting = [option for option in spec.required if option not in overrides]
    if wanting:
        raise OptionError(f"{spec.name}: {', '.join(wanting)} must be given; {spec.name} has no default for it")
    if not overrides:
        return
    options_known = (*spec.required, *spec.defaults)
    target: Any = spec.target
    hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    for option, value in overrides.items():
        if option not in options_known:
            offered = f"it has {', '.join(options_known)}" if options_known else "it has none"
            raise OptionError(f"{spec.name}: no option {option!r}; {did_you_mean(option, options_known)}{offered}")
        if not _fits(value, hints.get(option, Any)):
            raise OptionError(f"{spec.name}: {option} = {value!r} is not {_show(hints[option])}")
        if problem := _out_of_bounds(option, value):
            raise OptionError(f"{spec.name}: {option} = {value!r} {problem}")


_BOUNDS = {
    "eps": (0, math.inf),
    "ddof": (0, 1),
    "tolerance": (0, math.inf),
    "window": (1, math.inf),
    "ngram": (1, math.inf),
    "every": (1, math.inf),
}
"""Lowest and highest value of options that mean the same in every method that has them."""


def _out_of_bounds(option: str, value: Any) -> str:
    """What is wrong with the value of an option; empty where nothing is."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return ""
    if math.isnan(value):
        return "is not a number; give one"
    low, high = _BOUNDS.get(option, (-math.inf, math.inf))
    if low <= value <= high:
        return ""
    return f"must be at least {low}" if math.isinf(high) else f"must lie between {low} and {high}"


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


INPUTS.complete = load_all
