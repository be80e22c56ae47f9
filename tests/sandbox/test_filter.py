"""The filter of system calls, decided by an interpreter of its code, for both machines."""

from __future__ import annotations

import struct

import pytest

from sandbox._inside import _kernel, _seccomp

_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SIZE = 64
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_EPERM, _ENOSYS = 0x50001, 0x50026


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
        else:
            taken = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[code]
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


def test_other_machines_have_no_filter() -> None:
    with pytest.raises(KeyError):
        _seccomp.build("s390x")
