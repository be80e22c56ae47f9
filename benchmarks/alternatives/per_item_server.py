"""The habit: a FastAPI server that is called once per item and verifies with math-verify."""

from __future__ import annotations

import socket

import uvicorn
from fastapi import FastAPI
from math_verify import parse, verify
from pydantic import BaseModel

app = FastAPI()


class Item(BaseModel):
    """One item to score."""

    response: str
    answer: str


@app.post("/score")
async def score(item: Item) -> dict[str, float]:
    """Compare one response with its answer."""
    gold = parse(f"${item.answer}$", parsing_timeout=None)
    return {"reward": float(verify(gold, parse(item.response, parsing_timeout=None), timeout_seconds=None))}


def main() -> None:
    """Serve on a free port and print it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        print(listener.getsockname()[1], flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
