"""The container backend, with each runtime that the engine has. `make test-docker` installs and starts one."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

import pytest

import sandbox
from sandbox import Exit, Invocation, Limits, Prepared, Program, Sandbox, SandboxConfig, SandboxUnavailableError
from tests.sandbox.conftest import Runner

_SHORT = Limits(cpu_s=2, wall_s=4)


@pytest.fixture(scope="module", params=["runc", "runsc"])
def box(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    try:
        opened = sandbox.open_sandbox(config=SandboxConfig(backend="docker", docker_runtime=request.param))
    except SandboxUnavailableError as error:
        if "ASSAY_NEED_DOCKER" in os.environ:
            raise
        pytest.skip(f"{error}; make test-docker installs and starts one")
    with opened:
        yield opened


def test_output_code_and_streams(run: Runner) -> None:
    result = run("import sys\nprint(input()[::-1])\nprint('e', file=sys.stderr)\nsys.exit(3)", b"abc\n", limits=_SHORT)
    assert (result.stdout, result.stderr, result.exit_code) == (b"cba\n", b"e\n", 3)


@pytest.mark.parametrize("language", ["c", "cpp", "javascript", "bash"])
def test_languages(run: Runner, language: str) -> None:
    sources = {
        "c": '#include <stdio.h>\nint main(void) { int a; scanf("%d", &a); printf("%d", a + 1); }',
        "cpp": "#include <iostream>\nint main() { int a; std::cin >> a; std::cout << a + 1; }",
        "javascript": "console.log(+require('fs').readFileSync(0) + 1)",
        "bash": "read a; echo $((a + 1))",
    }
    if language not in sandbox.languages():
        pytest.skip(f"no toolchain for {language}")
    assert run(sources[language], b"41\n", language, _SHORT).stdout.strip() == b"42"


def test_a_compile_error_is_a_verdict(run: Runner) -> None:
    assert "main.py" in run.failure("def").message


@pytest.mark.parametrize(
    ("source", "ended"),
    [
        ("import time\ntime.sleep(60)", Exit.WALL_LIMIT),
        ("x = bytearray(1 << 30)", Exit.MEMORY_LIMIT),
        ("print('x' * (1 << 22))", Exit.OUTPUT_LIMIT),
        ("import os\nos.abort()", Exit.SIGNALED),
    ],
)
def test_limits(run: Runner, source: str, ended: Exit) -> None:
    assert run(source, limits=Limits(cpu_s=1, wall_s=3)).ended is ended


def test_processor_time_decides_only_where_it_is_measured(run: Runner) -> None:
    result = run("while True: pass", limits=Limits(cpu_s=1, wall_s=2))
    if run.box.report.cpu_clock == "none":
        assert (result.ended, result.cpu_s) == (Exit.WALL_LIMIT, None)
        assert run.box.slowness() >= 1.0
    else:
        assert result.ended is Exit.CPU_LIMIT
        assert result.cpu_s is not None
        assert result.cpu_s >= 1


def test_disk_is_bounded_for_each_run(run: Runner) -> None:
    source = "open('a', 'wb').write(bytes(3 << 20))\nprint('stored')"
    small = Limits(cpu_s=2, wall_s=4, disk_bytes=2 << 20)
    assert b"OSError" in run(source, limits=small).stderr
    assert run(source, limits=_SHORT).stdout == b"stored\n"


def test_nothing_is_left_for_the_next_run(run: Runner) -> None:
    first = run(
        "import os, time\nopen('/tmp/left', 'w').close()\nopen('/dev/shm/left', 'w').close()\n"
        "os.makedirs('/tmp/box/a/b'); os.chmod('/tmp/box/a', 0)\n"
        "if os.fork() == 0:\n os.setsid()\n for fd in range(3): os.close(fd)\n time.sleep(60)",
        limits=_SHORT,
    )
    assert first.ended is Exit.EXITED
    after = run(
        "import os\nprint(os.listdir('/tmp/shm'), sorted(os.listdir('/tmp')), sorted(os.listdir()),\n"
        "      sum(p.isdigit() for p in os.listdir('/proc')))",
        limits=_SHORT,
    )
    assert after.stdout == b"[] ['box', 'shm'] ['main.py'] 4\n"


def test_the_init_and_the_manager_cannot_be_reached(run: Runner) -> None:
    source = (
        "import os\nown = os.getpid()\nfor pid in (p for p in os.listdir('/proc') if p.isdigit()):\n"
        " if int(pid) == own: continue\n"
        " for act in (lambda: os.kill(int(pid), 9), lambda: os.open(f'/proc/{pid}/fd/3', os.O_RDWR),\n"
        "             lambda: os.open(f'/proc/{pid}/mem', os.O_RDWR)):\n"
        "  try: print('reached', pid, act())\n"
        "  except OSError: pass\n"
        "try: os.kill(-1, 9)\nexcept OSError: pass\nprint('done')"
    )
    assert run(source, limits=_SHORT).stdout == b"done\n"
    assert run("print(1)", limits=_SHORT).stdout == b"1\n"


def test_a_compiled_program_spoils_nothing_for_its_next_run(run: Runner) -> None:
    source = """
    #include <fcntl.h>
    #include <stdio.h>
    #include <sys/stat.h>
    int main(void) {
        int fd = open("/proc/self/exe", O_RDONLY);
        printf("%d %d", fchmod(fd, 0), futimens(fd, 0));
    }
    """
    prepared = run.prepare(source, "c")
    for _ in range(2):
        assert run.box.run(prepared, limits=_SHORT).stdout == b"-1 -1"
    run.box.discard(prepared)


def test_drivers_arguments_and_files(run: Runner) -> None:
    prepared = run.prepare("import sys\nx = sys.argv[1:]", driver=b"reply(request + repr(load()['x']).encode())")
    given = Invocation(args=("a", "b"))
    assert run.box.run(prepared, limits=_SHORT, request=b"r", given=given).reply == b"r['a', 'b']"
    keeping = run.prepare("import os\nopen('out/y', 'w').write(open('x').read())")
    result = run.box.run(keeping, limits=_SHORT, given=Invocation(files={"x": b"\0\xff"[:1]}, keeps="out"))
    assert result.files == {"y": b"\0"}


def test_a_set_of_packages_can_be_imported(run: Runner) -> None:
    prepared = run.prepare("import math\nprint(math.sqrt(4))", preload="scientific")
    for _ in range(2):
        assert run.box.run(prepared, limits=_SHORT).stdout == b"2.0\n"


def test_sessions(run: Runner) -> None:
    prepared = run.prepare("", driver=b"while (m := receive()) is not None: send(m[::-1])")
    session = run.box.start(prepared, limits=_SHORT)
    session.send(b"abc")
    assert session.receive() == b"cba"
    with pytest.raises(TimeoutError):
        session.receive(0.05)
    assert session.finish().ok
    talker = run.prepare("print(input()[::-1], flush=True)")
    raw = run.box.start(talker, limits=_SHORT, raw=True)
    raw.send(b"abc\n")
    assert raw.receive() == b"cba\n"
    assert raw.finish().ok


def test_a_container_that_was_killed_is_replaced(run: Runner) -> None:
    docker = pytest.importorskip("docker")
    prepared = run.prepare("print(1)")
    with contextlib.closing(docker.from_env()) as client:
        for container in client.containers.list(filters={"label": f"assay.sandbox={os.getpid()}"}):
            container.kill()
    assert run.box.run(prepared, limits=_SHORT).stdout == b"1\n"


def test_close_in_the_middle_of_a_run(run: Runner) -> None:
    with sandbox.open_sandbox(config=SandboxConfig(backend="docker")) as other:
        prepared = other.prepare(Program("python", b"import time\ntime.sleep(60)"))
        assert isinstance(prepared, Prepared)
        threading.Timer(0.5, other.close).start()
        with pytest.raises(sandbox.SandboxClosedError):
            other.run(prepared, limits=Limits(wall_s=60))
