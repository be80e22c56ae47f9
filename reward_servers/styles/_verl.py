"""verl's reward function: ``compute_score(data_source, solution_str, ground_truth, extra_info)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reward_servers import Rollout, Score, ServiceError
from reward_servers.core import Verifier
from reward_servers.styles._address import Address
from reward_servers.styles._columns import Columns, columns_of, require
from reward_servers.styles._making import (
    clipped,
    finish,
    is_async,
    make_verifier,
    number_of,
    parameters_of,
    score_of,
)

_OWN = ("data_source", "solution_str", "ground_truth", "extra_info")


def verl(address: str) -> Verifier:
    """A reward function of verl, which returns a number or an object with ``score``.

    ``solution_str`` is the whole response; ``data_source``, ``ground_truth`` and ``extra_info`` are columns of the
    reference or the metadata, ``extra_info`` also holds the rest of the metadata. Numbers beside the score are aspects.

    Raises:
        VerifierNotFoundError: There is nothing at the address.
        VerifierDefinitionError: It cannot be served.
    """
    parsed = Address.read(address)
    function = parsed.load()
    if not callable(function) or isinstance(function, type):
        raise parsed.refused(f"{clipped(function)} is not a function")
    required, names_taken = parsed.guarded(lambda: parameters_of(function), "has no signature")
    strange = [name for name in required if name not in _OWN]
    if strange:
        raise parsed.refused(
            f"the function needs {strange[0]!r}; verl gives {', '.join(_OWN)}: give the others defaults"
        )
    limits = parsed.range()

    def call(rollout: Rollout) -> Any:
        columns = _columns(rollout)
        # verl calls it with a reference always; one that reads none has no use for it.
        require([name for name in required if name not in ("solution_str", "data_source")], columns, address)
        arguments = {name: columns[name] for name in _OWN if name in columns}
        arguments |= {"data_source": columns.get("data_source", ""), "solution_str": rollout.transcript}
        return function(
            **{name: value for name, value in arguments.items() if names_taken is None or name in names_taken}
        )

    def score(returned: Any) -> Score:
        if not isinstance(returned, Mapping):
            return score_of(number_of(returned, address, limits), {})
        if "score" not in returned:
            raise ServiceError(
                f"{address} returned an object without 'score': {clipped(returned)}", code="invalid_score"
            )
        parts = {name: part for name, part in returned.items() if name != "score"}
        return score_of(number_of(returned["score"], address, limits), parts)

    def run(rollout: Rollout, reference: Columns) -> Score:
        return score(finish(call(rollout)))

    async def wait(rollout: Rollout, reference: Columns) -> Score:
        return score(await call(rollout))

    loop = is_async(function)
    return make_verifier(
        parsed,
        wait if loop else run,
        limits=limits,
        loop=loop,
        deterministic=not loop,
        about=function,
        sources=(parsed.module, getattr(function, "__module__", None) or type(function).__module__),
    )


def _columns(rollout: Rollout) -> dict[str, Any]:
    columns = columns_of(rollout)
    model = columns.get("reward_model")
    if isinstance(model, Mapping) and "ground_truth" in model:
        columns.setdefault("ground_truth", model["ground_truth"])
    extra = columns.get("extra_info")
    columns["extra_info"] = {**rollout.metadata, **(extra if isinstance(extra, Mapping) else {})}
    columns["extra_info"].pop("extra_info", None)
    return columns
