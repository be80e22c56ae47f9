"""What a method's file declares: its paper, and of each method what it needs, reads, computes and obeys.

`register` decorates a function ``(batch, *, options) -> Signal``, or a class whose instances are called with a batch
and keep state. The catalogue, the tables of the tests and ``docs/methods.md`` are read from here.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args

from trainer_client.signals._errors import OptionError
from trainer_client.signals._inputs import INPUTS, Input, declare
from trainer_client.signals._laws import Laws

Needs = Literal["row", "group", "batch", "state"]
Stage = Literal[
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
Provenance = Literal["code", "paper", "secondary", "abstract", "own"]

STAGES: tuple[Stage, ...] = get_args(Stage)
NEEDS: tuple[Needs, ...] = get_args(Needs)
Wish = str | Input | tuple[str | Input, ...]
Fit = Callable[[Mapping[str, Any], int], str]

_T = TypeVar("_T", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Paper:
    """One paper, or one piece of software that defines a method.

    A method's file makes it from its own docstring: the first line is the title, the rest says where the formula is
    printed or coded. That keeps the two from disagreeing.

    Attributes:
        key: short name; a method filed elsewhere names its paper by it.
        doc: title, and after an empty line the source.
        provenance: the best that was read of it: the authors' or reference *code*, the *paper*, a *secondary* source,
            or only the *abstract*.
        names: what people call it besides the key and the names in its title.
        outside: why nothing of it is computed here; empty if something is.
    """

    key: str
    doc: str | None
    provenance: Provenance
    names: tuple[str, ...] = ()
    outside: str = ""

    @property
    def title(self) -> str:
        """Title as published."""
        return (self.doc or self.key).strip().partition("\n")[0].rstrip(".")

    @property
    def source(self) -> str:
        """Where the formula stands: section, equation, or repository, path and revision."""
        return _paragraph(self.doc)

    @property
    def called(self) -> tuple[str, ...]:
        """Names by which people look for it: key, title, what stands before its colon or in brackets."""
        before, colon, _ = self.title.partition(":")
        bracketed = [name for group in re.findall(r"\(([^)]*)\)", self.title) for name in group.split(", ")]
        short = [*before.split(", "), before] if colon else []
        return tuple(dict.fromkeys([self.key, self.title, *short, *bracketed, *self.names]))


@dataclass(frozen=True, slots=True, eq=False)
class Method:
    """What is known of a method.

    Attributes:
        name: name in a recipe; ``release/NAME`` for one that reproduces a release's departure from its paper.
        target: the function or class.
        stage: the package that it is in.
        needs: how much of the step must be present: a ``row``, the whole ``group``, the whole ``batch``, or
            ``state`` carried over steps (which implies the whole batch). May depend on options that have a
            default.
        inputs: names of the inputs it needs. ``a|b`` means either.
        optional: names of the inputs it reads where the batch carries them.
        papers: keys of the papers it implements.
        provenance: the best that was read of it, see `Paper`; ``own`` for a formula that no paper has.
        source: where its formula stands; of one's own, the module unless given.
        formula: one line.
        reducible: whether a reduce hook makes it right on a shard.
        disjoint: whether it adds ``components`` to ``rewards``, which must then not hold them already.
        within: lowest and highest reward that it is made for; it refuses others. Of ``components`` where it reads no
            ``rewards``.
        reaches: name of the option below which no reward has an effect, for methods made for a scale of points.
        columns: why a number of columns of ``components`` does not fit its options; empty where it does. None where
            any number fits.
        laws: what it obeys.
    """

    name: str
    target: Callable[..., Any]
    stage: Stage
    needs: Needs | Callable[[Mapping[str, Any]], Needs]
    inputs: tuple[str, ...]
    optional: tuple[str, ...]
    papers: tuple[str, ...]
    provenance: Provenance
    source: str
    formula: str
    reducible: bool
    disjoint: bool
    within: tuple[float, float] | None
    reaches: str
    columns: Fit | None
    laws: Laws

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

    @property
    def reads(self) -> frozenset[str]:
        """Every input that it may read, those included that say which entries of another count."""
        names = frozenset(name for wish in (*self.inputs, *self.optional) for name in wish.split("|"))
        return names | {INPUTS[name].beside for name in names} - {""}


METHODS: dict[str, Method] = {}
"""Registered methods by name; complete once all stages are loaded (`_registry.methods`)."""
PAPERS: dict[str, Paper] = {}
"""Papers of registered methods by key."""


def register(
    name: str,
    *,
    paper: Paper | str | Sequence[Paper | str] | None = None,
    like: str | None = None,
    stage: Stage | None = None,
    needs: Needs | Callable[[Mapping[str, Any]], Needs] | None = None,
    inputs: Sequence[Wish] | None = None,
    optional: Sequence[Wish] | None = None,
    provenance: Provenance | None = None,
    source: str | None = None,
    formula: str | None = None,
    reducible: bool | None = None,
    disjoint: bool | None = None,
    within: tuple[float, float] | None = None,
    reaches: str | None = None,
    columns: Fit | None = None,
    laws: Laws | None = None,
) -> Callable[[_T], _T]:
    """Decorate the function or class of a method; see `Method` for the arguments.

    Args:
        name: name of the method.
        paper: the paper, or the key of one that another file declares; several where a method is in several.
        like: another method, registered before, that gives what is not given here, but for its laws and rewards.
        stage: taken from the package of the target; to be given only by methods outside of it.
        needs: see `Method`.
        inputs: names, or the `Input` itself where only this file reads it; ``"a|b"``, or a tuple, is either of them.
        optional: the same for what is read where it is given.
        provenance: the paper's, unless given; ``own`` without a paper.
        source: the second paragraph of the file's docstring, unless given; else, without a paper, the module.
        formula: one line.
        reducible: False unless given.
        disjoint: the same.
        within: see `Method`.
        reaches: see `Method`.
        columns: see `Method`.
        laws: nothing but what all methods obey, unless given.

    Raises:
        OptionError: the name is taken, or something is neither given nor known.
    """
    model, papers = _model(name, like), _declared(paper)
    plain = {"formula": formula, "reducible": reducible, "disjoint": disjoint, "within": within, "reaches": reaches}

    def add(target: _T) -> _T:
        own = model is None and not papers
        declaration: dict[str, Any] = {
            "stage": stage or _stage_of(target),
            "needs": needs,
            **_wishes_by_field(inputs=inputs, optional=optional),
            "papers": tuple(paper if isinstance(paper, str) else paper.key for paper in papers) or None,
            "provenance": provenance or _read_of(papers, own=own),
            "source": source or _source_of(target.__module__, own=own),
            **{**plain, "columns": columns},
        }
        METHODS[name] = _method(model, name, target, laws or Laws(), declaration)
        return target

    return add


def _read_of(papers: Sequence[Paper | str], *, own: bool) -> Provenance | None:
    return "own" if own else next((paper.provenance for paper in papers if isinstance(paper, Paper)), None)


def _source_of(module: str, *, own: bool) -> str | None:
    return _paragraph(sys.modules[module].__doc__) or (module if own else None)


def _declared(paper: Paper | str | Sequence[Paper | str] | None) -> tuple[Paper | str, ...]:
    """The papers of a method; those that its file declares are found by their keys from now on."""
    papers = () if paper is None else (paper,) if isinstance(paper, Paper | str) else tuple(paper)
    PAPERS.update({paper.key: paper for paper in papers if isinstance(paper, Paper)})
    return papers


_OF_ITS_OWN: dict[str, Any] = {"within": None, "reaches": ""}
_DEFAULTS: dict[str, Any] = {
    "optional": (),
    "papers": (),
    "reducible": False,
    "disjoint": False,
    "columns": None,
    **_OF_ITS_OWN,
}


def _stage_of(target: Callable[..., Any]) -> str | None:
    """The stage whose package a target is in; None for one outside of them."""
    package = target.__module__.rpartition(".")[0].rpartition(".")[2]
    return package if package in STAGES else None


def _model(name: str, like: str | None) -> Method | None:
    """The method that another is registered like; None for one of its own."""
    if name in METHODS:
        raise OptionError(f"method {name!r} is registered twice; choose another name")
    if like is None:
        return None
    if like not in METHODS:
        raise OptionError(f"method {name!r}: like = {like!r} is not registered; put it above")
    return METHODS[like]


def _method(
    model: Method | None,
    name: str,
    target: Callable[..., Any],
    laws: Laws,
    given: Mapping[str, Any],
) -> Method:
    """A method from what is known of its fields, and for the others from its model, or what all have by default."""
    known = {key: value for key, value in given.items() if value is not None}
    if model is not None:
        return replace(model, name=name, target=target, laws=laws, **{**_OF_ITS_OWN, **known})
    absent = [key for key in given if key not in known and key not in _DEFAULTS]
    if absent:
        raise OptionError(f"method {name!r}: give {', '.join(absent)} to register()")
    return Method(name=name, target=target, laws=laws, **{**_DEFAULTS, **known})


def _paragraph(doc: str | None) -> str:
    """What follows the title of a docstring, on one line."""
    return " ".join((doc or "").partition("\n\n")[2].split()).rstrip(".")


def _wishes_by_field(**wishes: Sequence[Wish] | None) -> dict[str, tuple[str, ...] | None]:
    return {field: None if wish is None else tuple(map(_name, wish)) for field, wish in wishes.items()}


def _name(wish: Wish) -> str:
    if isinstance(wish, tuple):
        return "|".join(map(_name, wish))
    return wish if isinstance(wish, str) else declare(wish).name


def _options(target: Callable[..., Any]) -> Sequence[inspect.Parameter]:
    return [p for p in inspect.signature(target).parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
