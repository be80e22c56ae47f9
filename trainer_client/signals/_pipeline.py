"""`resolve` and `Pipeline`: estimators as a recipe writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from trainer_client.signals._batch import SignalBatch
from trainer_client.signals._errors import OptionError, StateMismatchError
from trainer_client.signals._method import NEEDS, Method, Needs
from trainer_client.signals._registry import Estimator, method, method_of, refuse_unread
from trainer_client.signals._signal import Signal

Setting = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]
"""``"grpo"``, ``{"name": "grpo", "eps": 1e-4}``, or a list of such stages."""


class Pipeline:
    """Stages in the order given, which is part of a method: shape, filter, normalise, weigh.

    A stage sees the rewards that earlier ones shaped and only the rows they kept. The result joins all
    stages: masks intersect, weights multiply, of other fields the last stage that fills one wins.
    """

    __slots__ = ("feeds", "stages")

    def __init__(self, stages: Sequence[Estimator], feeds: Mapping[str, str] | None = None) -> None:
        """Join stages.

        Args:
            stages: in their order.
            feeds: inputs of later stages that are the rewards (without them the advantages) of an earlier one, by its
                name.

        Raises:
            OptionError: there is no stage, or none of a name in ``feeds`` before the last one.
        """
        if not stages:
            raise OptionError("pipeline: no stages; name at least one method")
        self.stages = tuple(stages)
        self.feeds = dict(feeds or {})
        earlier = [stage.name for stage in self.stages[:-1]]
        for name, stage in self.feeds.items():
            if stage not in earlier:
                stages_text = f"earlier stages are {', '.join(earlier)}" if earlier else "there is no earlier stage"
                raise OptionError(f"inputs.{name}: no earlier stage is called {stage!r}; {stages_text}")

    @property
    def name(self) -> str:
        """Names of the stages."""
        return " > ".join(stage.name for stage in self.stages)

    @property
    def needs(self) -> Needs:
        """The most that any stage needs."""
        return max((stage.needs for stage in self.stages), key=NEEDS.index)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Inputs that any stage reads."""
        return tuple(dict.fromkeys(name for stage in self.stages for name in stage.inputs))

    @property
    def reads(self) -> frozenset[str]:
        """Names of all inputs that any stage may read."""
        return frozenset().union(*(stage.reads for stage in self.stages))

    @property
    def disjoint(self) -> bool:
        """Whether any stage asks for ``rewards`` that do not hold what is in ``components``."""
        return any(stage.disjoint for stage in self.stages)

    def __call__(self, batch: SignalBatch) -> Signal:
        """Compute the signal of a batch, stage by stage.

        Raises:
            SignalError: see `Estimator`; an input is unread where no stage reads it.
        """
        refuse_unread(self.name, self.reads, batch)
        joined: Signal | None = None
        for number, stage in enumerate(self.stages):
            batch = batch.before(frozenset().union(*(later.reads for later in self.stages[number + 1 :])))
            signal = stage.apply(batch)
            joined = signal if joined is None else joined.then(signal)
            batch = batch.after(signal).replace(**self._fed(stage.name, signal))
        assert joined is not None
        return joined

    def _fed(self, stage: str, signal: Signal) -> dict[str, Any]:
        """What a stage gives to inputs of later ones."""
        names = [name for name, source in self.feeds.items() if source == stage]
        if not names:
            return {}
        array = signal.rewards if signal.rewards is not None else signal.advantages
        if array is None:
            raise OptionError(f"inputs.{names[0]}: the stage {stage} gives neither rewards nor advantages")
        return dict.fromkeys(names, array)

    def state_dict(self) -> dict[str, Any]:
        """JSON-serialisable state of all stages."""
        return {"stages": [stage.state_dict() for stage in self.stages]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken.

        Raises:
            StateMismatchError: the state is of other stages.
        """
        saved = state.get("stages", ())
        if len(saved) != len(self.stages):
            raise StateMismatchError(f"{self.name}: {len(self.stages)} stages, but the state holds {len(saved)}")
        for stage, part in zip(self.stages, saved, strict=True):
            stage.load_state_dict(part)


def resolve(
    setting: Setting, weights: Sequence[float] | None = None, feeds: Mapping[str, str] | None = None
) -> Estimator | Pipeline:
    """The estimator of a recipe's ``advantage`` setting.

    Args:
        setting: the setting.
        weights: factor of each reward, for methods that take the rewards apart and join them again by ``weights``;
            a setting that names its own keeps them. None where nothing sets any: a method keeps those of its paper.
        feeds: inputs that an earlier stage gives: see `Pipeline`.

    Raises:
        OptionError: the setting has another form, or an option does not fit.
        UnknownMethodError: no method has that name.
    """
    if isinstance(setting, str | Mapping):
        single = _stage(setting, weights)
        return Pipeline([single], feeds) if feeds else single
    return Pipeline([_stage(stage, weights) for stage in setting], feeds)


def _stage(setting: str | Mapping[str, Any], weights: Sequence[float] | None) -> Estimator:
    if isinstance(setting, str):
        setting = {"name": setting}
    if not isinstance(setting, Mapping):
        raise OptionError(f"advantage: a stage is a name or a table with one, not {setting!r}")
    options = dict(setting)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise OptionError('advantage: a table needs name = "...", the method; its other keys are options')
    if weights is not None and "weights" not in options and _takes_weights(method_of(name)):
        options["weights"] = tuple(weights)
    return method(name, **options)


def takes_weights(estimator: Estimator | Pipeline) -> bool:
    """Whether `resolve` gives a method, or a stage of it, the weights of the rewards as its option."""
    stages = estimator.stages if isinstance(estimator, Pipeline) else (estimator,)
    return any(_takes_weights(stage.spec) for stage in stages)


def _takes_weights(spec: Method) -> bool:
    return "components" in spec.inputs and "weights" in spec.defaults
