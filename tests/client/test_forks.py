"""A fork waits for the threads of gRPC's core, and for those of another copy of it only once; what a child can do."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.client.conftest import ROOT, Process
from tests.client.forking import CASES
from tests.client.scripted_server import Scripted
from trainer_client._session import forks

_SET_NAME = 15


@pytest.fixture
def core_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A thread that is named as one of the core's, and the event that ends it.

    It is the only one that is looked at: those that earlier tests left behind come and go as they like.
    """
    begun, end = threading.Event(), threading.Event()

    def run() -> None:
        ctypes.CDLL(None).prctl(_SET_NAME, b"event_engine", 0, 0, 0)
        begun.set()
        end.wait()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert begun.wait(60)
    (tmp_path / str(thread.native_id)).symlink_to(f"{forks._TASKS}/{thread.native_id}")
    monkeypatch.setattr(forks, "_TASKS", str(tmp_path))
    monkeypatch.setattr(forks, "_foreign", set())
    monkeypatch.setattr(forks, "is_polled", lambda: False)
    yield end
    end.set()
    thread.join()


def test_a_thread_that_ends_is_waited_for(core_thread: threading.Event) -> None:
    assert forks.core_threads()
    timer = threading.Timer(0.3, core_thread.set)
    timer.start()
    assert forks.await_end_of_grpc(60.0)
    assert core_thread.is_set()
    assert not forks.core_threads()
    timer.join()


@pytest.mark.usefixtures("core_thread")
def test_a_thread_that_stays_is_waited_for_once() -> None:
    assert not forks.await_end_of_grpc(0.05)
    assert forks.await_end_of_grpc(0.0)


PROGRAM = """
import sys
from trainer_client import Recipe, RewardClient, Rollout
from trainer_client._session import forks
before = forks.core_threads()
with RewardClient(Recipe.loads('[rewards.a]\\nverifier = "echo"\\n'), sys.argv[1]) as client:
    client.score([Rollout("a", "p", '{"score": 1.0}')])
    print(len(before), len(forks.core_threads()) > 0)
"""


def test_the_cores_threads_are_known_by_name() -> None:
    """In a process of its own, since what other tests left behind has such threads as well."""
    with Scripted() as server:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, server.address], capture_output=True, text=True, check=True, cwd=ROOT
        )
    assert done.stdout.split() == ["0", "True"]


@pytest.mark.parametrize("case", CASES)
def test_a_client_and_its_process_fork(case: str, spawn: Callable[..., Process]) -> None:
    command = [sys.executable, "-m", "tests.client.forking", case, spawn().address]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=200)
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr
