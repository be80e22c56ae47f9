"""A FastAPI server as one writes it by hand: pydantic bodies, and the verifier in its own process.

Usage: ``python -m benchmarks.gateway.by_hand exact|math``
"""

from __future__ import annotations

import socket
import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from reward_servers.core import Fault, PromptContext, Rollout, Score
from reward_servers.verifiers.exact import ExactOptions, ExactReference, exact
from reward_servers.verifiers.math import Answer, MathOptions, math

app = FastAPI()
_EXACT, _MATH = ExactOptions.model_validate({}), MathOptions.model_validate({})
_USES_MATH = "math" in sys.argv[1:]


class Item(BaseModel):
    """One item to score."""

    prompt: str
    response: str
    label: str


class Batch(BaseModel):
    """Items of one request."""

    items: list[Item]


class Outcome(BaseModel):
    """What became of an item."""

    index: int
    reward: float
    valid: bool
    code: str


async def _judge(item: Item) -> tuple[float, str]:
    rollout = Rollout(item.response, PromptContext(prompt=item.prompt))
    verdict: Score | Fault
    if _USES_MATH:
        verdict = math(rollout, Answer(answer=item.label), _MATH)
    else:
        verdict = await exact(rollout, ExactReference(answer=item.label), _EXACT)
    if isinstance(verdict, Fault):
        return 0.0, verdict.code
    value = verdict.value or 0.0
    return value, verdict.code or ("accepted" if value else "wrong")


async def _score(item: Item) -> float:
    return (await _judge(item))[0]


@app.post("/slime")
async def single(item: Item) -> dict[str, float]:
    """Score one."""
    return {"reward": await _score(item)}


@app.post("/batch")
async def batch(body: Batch) -> dict[str, list[float]]:
    """Score many."""
    return {"rewards": [await _score(item) for item in body.items]}


@app.post("/batch/items")
async def outcomes(body: Batch) -> list[Outcome]:
    """Score many, and say what became of each."""
    found = []
    for place, item in enumerate(body.items):
        reward, code = await _judge(item)
        found.append(Outcome(index=place, reward=reward, valid=True, code=code))
    return found


def listen(app: FastAPI) -> None:
    """Serve on a free port and print it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False)).run(sockets=[listener])


if __name__ == "__main__":
    listen(app)
