"""The filter of system calls, decided by an interpreter of its code, for both machines."""

from __future__ import annotations

import struct

import pytest

from sandbox._inside import _kernel, _seccomp

_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SIZE = 64
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_EPERM, _ENOSYS, _SUCCESS, _ASK = 0x50001, 0x50026, 0x50000, 0x7FC00000


def _decide(program: bytes, number: int, arch: int, *arguments: int) -> int:
    """Run a filter as the kernel would."""
    data = struct.pack("<iIQ6Q", number, arch, 0, *(*arguments, *[0] * (6 - len(arguments))))
    data = data.ljust(_SIZE, b"\0")
    position = accumulator = 0
    while True:
        code, then, otherwise, value = struct.unpack_from("HBBI", program, position * 8)
        position += 1
        if code == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif code == 0x06:
            return int(value)
        elif code == 0x54:
            accumulator &= value
        else:
            taken = {
                0x15: accumulator == value,
                0x25: accumulator > value,
                0x35: accumulator >= value,
                0x45: bool(accumulator & value),
            }[code]
            position += then if taken else otherwise


@pytest.mark.parametrize("machine", sorted(_ARCH))
def test_decisions(machine: str) -> None:
    program, arch = _seccomp.build(machine), _ARCH[machine]
    column = ("x86_64", "aarch64").index(machine)
    for numbers in _seccomp._REFUSED.values():
        number = numbers[column]
        if number is not None:
            assert _decide(program, number, arch) == _EPERM
    read, write, exit_group = ((0, 1, 231), (63, 64, 94))[column]
    for number in (read, write, exit_group):
        assert _decide(program, number, arch) == _ALLOW
        other = next(value for name, value in _ARCH.items() if name != machine)
        assert _decide(program, number, other) == _KILL
    assert _decide(program, 435, arch) == _ENOSYS
    assert _decide(program, 100_000, arch) == _ENOSYS
    assert _decide(program, 0x40000000 | read, arch) == _ENOSYS
    clone = _kernel.NUMBERS[machine]["clone"]
    assert _decide(program, clone, arch, 0x11) == _ALLOW
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert _decide(program, clone, arch, flag | 0x11) == _EPERM
    socket, ioctl = (41, 198)[column], (16, 29)[column]
    assert _decide(program, socket, arch, 1) == _ALLOW
    for family in (2, 10, 16, 17, 40):
        assert _decide(program, socket, arch, family) == _EPERM
    prlimit = (302, 261)[column]
    assert _decide(program, prlimit, arch, 0, 7) == _ALLOW
    assert _decide(program, prlimit, arch, 1, 7) == _EPERM
    assert _decide(program, ioctl, arch, 0, 0x5401) == _ALLOW
    assert _decide(program, ioctl, arch, 0, 0x5412) == _EPERM


@pytest.mark.parametrize("machine", sorted(_ARCH))
def test_uses_of_a_call_are_told_apart(machine: str) -> None:
    program, arch = _seccomp.build(machine), _ARCH[machine]
    column = ("x86_64", "aarch64").index(machine)
    fcntl, affinity, priority, pair = ((72, 203, 141, 53), (25, 122, 140, 199))[column]
    for command in (0, 1, 2, 3, 4, 5, 1030, 1032):
        assert _decide(program, fcntl, arch, 9, command) == _ALLOW
    for command in (6, 7):
        assert _decide(program, fcntl, arch, 9, command) == _SUCCESS
    for command in (36, 37, 38, 1024, 1026, 1036):
        assert _decide(program, fcntl, arch, 9, command) == _EPERM
    assert _decide(program, fcntl, arch, 9, 1031, 1 << 16) == _ALLOW
    assert _decide(program, fcntl, arch, 9, 1031, (1 << 16) + 1) == _EPERM
    assert [_decide(program, affinity, arch, pid) for pid in (0, 1, 2)] == [_ALLOW, _EPERM, _ALLOW]
    assert [_decide(program, priority, arch, 0, pid) for pid in (0, 1, 2)] == [_ALLOW, _EPERM, _ALLOW]
    assert [_decide(program, priority, arch, kind, 0) for kind in (1, 2)] == [_EPERM, _EPERM]
    assert [_decide(program, pair, arch, family) for family in (1, 30)] == [_ALLOW, _EPERM]
    assert _decide(program, (162, 81)[column], arch) == _SUCCESS


@pytest.mark.parametrize("machine", sorted(_ARCH))
def test_what_is_counted_for_a_user(machine: str) -> None:
    arch, column = _ARCH[machine], ("x86_64", "aarch64").index(machine)
    sending = _seccomp.build_for_shared_user(machine)
    assert _decide(sending, (46, 211)[column], arch) == _EPERM
    assert _decide(sending, (1, 64)[column], arch) == _ALLOW
    pipes = _seccomp.build_pipe_watch(machine)
    assert _decide(pipes, (293, 59)[column], arch) == _ASK
    assert _decide(pipes, (1, 64)[column], arch) == _ALLOW
    mknodat = (259, 33)[column]
    assert [_decide(pipes, mknodat, arch, 0, 0, kind | 0o644) for kind in (0o100000, 0o010000)] == [_ALLOW, _ASK]
    for program in (sending, pipes):
        assert _decide(program, 1, 0x40000003) == _KILL


def test_other_machines_have_no_filter() -> None:
    with pytest.raises(KeyError):
        _seccomp.build("s390x")
