"""The programs: hostile ones put together by chance, and honest ones that are sensitive to what the others do."""

from __future__ import annotations

import dataclasses
from random import Random
from typing import Any

_QUESTION = "3 4\n"
_ANSWER = "7\n"


@dataclasses.dataclass(frozen=True)
class Case:
    """A program and the reference that it is judged by.

    Attributes:
        name: What it is.
        language: Of the program.
        source: Its text.
        tests: Inputs and outputs.
    """

    name: str
    language: str
    source: str
    tests: tuple[tuple[str, str], ...]

    def reference(self) -> dict[str, Any]:
        """The reference in the form that users write."""
        return {
            "language": self.language,
            "mode": "stdio",
            "tests": [{"stdin": stdin, "expected": expected} for stdin, expected in self.tests],
            "limits": {"cpu_s": 1.0, "wall_s": 1.0, "memory_mb": 256},
        }


_PRELUDE = """
import array, ctypes, errno, fcntl, mmap, os, random, resource, select, signal, socket, struct, sys, threading, time
R = random.Random({seed})
libc = ctypes.CDLL(None, use_errno=True)
held = []
def quietly(act):
    try: return act()
    except BaseException: return None
def child(act, wait=False):
    pid = quietly(os.fork)
    if pid == 0:
        quietly(act)
        os._exit(R.choice([0, 1, 77, 126, 137]))
    if wait and pid: quietly(lambda: os.waitpid(pid, os.WNOHANG))
def thread(act):
    quietly(threading.Thread(target=lambda: quietly(act), daemon=R.random() < .5).start)
"""

# Each is a function body; {n}, {m} are small and large numbers, {s} a short time, {f} a file of the host, {g} a signal.
_ACTS = (
    # processes
    "for _ in range({n}): child(lambda: time.sleep({s}))",
    "for _ in range({n}): child(lambda: (os.setsid(), signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65)), time.sleep(9)))",
    "for _ in range({n}): child(lambda: os.execvp('sleep', ['sleep', '9']))",
    "while True:\n        if os.fork() == 0: time.sleep({s})",
    "child(lambda: child(lambda: (os.setsid(), child(lambda: time.sleep(9)))))",
    "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n    for _ in range({n}): child(lambda: sum(range({m})))",
    "for _ in range({n}): thread(lambda: time.sleep({s}))",
    "libc.vfork and libc.clone and libc.syscall(56, {m}, 0, 0, 0, 0)",
    "os.setpgid(0, 0); os.tcsetpgrp(0, os.getpid())",
    "libc.syscall(435, 0, 0)",
    "libc.prctl({k}, {n}, 0, 0, 0)",
    # clocks
    "os.sched_setaffinity(0, {{0}})\n    for _ in range(40): child(lambda: [time.sleep(.006 - time.monotonic() % .006) for _ in range(150)])\n"
    "    [time.sleep(.006 - time.monotonic() % .006) for _ in range(150)]",
    "for _ in range({n}): thread(lambda: [time.sleep(.001) for _ in range(900)])",
    "os.nice(19); os.sched_setaffinity(0, {{0}})\n    while time.process_time() < {s}: pass",
    "for p in (0, 1, -1, {n}): quietly(lambda: os.sched_setscheduler(p, R.choice([0, 1, 2, 3, 5]), os.sched_param(R.randrange(3))))",
    "for p in (0, 1): quietly(lambda: os.setpriority(R.randrange(3), p, 19))",
    "for p in (0, 1): quietly(lambda: os.sched_setaffinity(p, {{0}}))",
    "signal.setitimer(R.choice([0, 1, 2]), 1e-4, 1e-4)",
    "t = ctypes.c_int()\n    while libc.timer_create(R.choice([0, 1, 2, 3]), None, ctypes.byref(t)) == 0: pass",
    "time.clock_settime(0, 0)",
    "while True: os.sched_yield()",
    # pipes and sockets
    "while True: held.append(os.pipe())",
    "while True:\n        held.append(os.pipe()); fcntl.fcntl(held[-1][1], 1031, R.choice([4096, 1 << 16, 1 << 20]))",
    "def take():\n        while True: held.append(os.pipe())\n    for _ in range({n}): child(lambda: (quietly(take), time.sleep({s})))",
    "for i in range({n}): os.mkfifo(f'p{{i}}'); held.append(os.open(f'p{{i}}', os.O_RDWR))",
    "a, b = socket.socketpair()\n    while True: a.sendmsg([b'x'], [(1, 1, array.array('i', [0] * {n}))], socket.MSG_DONTWAIT)",
    "while True: held.append(socket.socketpair())",
    "a, b = socket.socketpair(); a.setblocking(False)\n    while True: a.send(b'x' * {m})",
    "s = socket.socket(socket.AF_UNIX); s.bind('\\0' + 'x' * {n}); s.listen(); held.append(s)",
    "e = select.epoll(); held.append(e)\n    for i in range({n}): e.register(os.pipe()[0])",
    "os.set_blocking(1, False); os.write(1, b'x' * {m}); os.set_blocking(1, True)",
    "fcntl.fcntl(1, 1031, 4096); fcntl.fcntl(1, 4, os.O_NONBLOCK | os.O_ASYNC); fcntl.fcntl(1, 8, 1)",
    "for fd in range(3, 40): quietly(lambda: os.write(fd, b'x' * {n}))",
    "for fd in range({n}): quietly(lambda: os.close(fd))",
    "os.dup2(1, 0); os.dup2(2, 1)",
    # signals
    "os.kill({p}, {g})",
    "os.killpg(0, {g})",
    "signal.signal({g}, lambda *a: time.sleep({s})); os.kill(os.getpid(), {g})",
    "for g in range(1, 65): quietly(lambda: signal.signal(g, signal.SIG_IGN))",
    "for g in range(1, 65): quietly(lambda: os.kill(1, g))",
    "while True: libc.sigqueue(os.getpid(), 40, 1)",
    "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n    while True: libc.sigqueue(os.getpid(), 40, 1)",
    "os.kill(os.getpid(), signal.SIGSTOP)",
    "child(lambda: [os.kill(os.getppid(), R.choice([signal.SIGSTOP, signal.SIGCONT])) for _ in range({n})])",
    "os.abort()",
    # files and locks
    "for i in range({m}): open(f'f{{i}}', 'w').close()",
    "os.truncate(1, 0)",
    "open('big', 'wb').truncate({m} << 20)",
    "open('big', 'wb').write(bytes({m} << 10))",
    "for i in range({m}): os.symlink('x' * 4000, f'l{{i}}')",
    "for _ in range({m}): os.mkdir('d'); os.chdir('d')",
    "f = open({f}, 'rb'); fcntl.fcntl(f, R.choice([5, 6, 7, 36, 37, 38]), struct.pack('hhqqi4x', R.choice([0, 1, 2]), 0, 0, 0, 0))",
    "f = open({f}, 'rb'); fcntl.flock(f, R.choice([1, 2]) | 4)",
    "f = open({f}, 'rb'); fcntl.fcntl(f, R.choice([1024, 1025, 1026, 1033, 1034, 1036]), R.choice([0, 1, 2]))",
    "os.chmod({f}, 0); os.utime({f}); os.setxattr({f}, 'user.x', b'y')",
    "for p in ('/proc/self/exe', '/proc/self/fd/0', '/proc/self/fd/1', '/dev/stdin', 'main.py'):\n"
    "        quietly(lambda: os.chmod(p, 0)); quietly(lambda: os.setxattr(p, 'user.x', b'y')); quietly(lambda: os.utime(p, (1, 1)))",
    "for p in ('oom_score_adj', 'autogroup', 'timerslack_ns', 'comm', 'coredump_filter', 'clear_refs', 'uid_map', 'mem'):\n"
    "        quietly(lambda: open(f'/proc/{{R.choice([1, 2, \"self\"])}}/{{p}}', 'w').write(str({n})))",
    "os.rmdir('/tmp/shm'); os.rename('/tmp/box', '/tmp/elsewhere'); os.symlink('/proc', '/tmp/box')",
    "for root, _, names in os.walk('/tmp'):\n        for n in names: os.unlink(os.path.join(root, n))",
    "libc.inotify_init(); libc.fanotify_init(0, 0); libc.syscall(425, {n}, 0)",
    "libc.syscall(206, {m}, ctypes.byref(ctypes.c_long()))",
    "libc.sync(); libc.syncfs(0)",
    # limits and memory
    "held.append(bytearray({m} << 16))",
    "while True: held.append(bytearray(1 << 20))",
    "for _ in range({n}): child(lambda: (held.append(bytearray(64 << 20)), time.sleep({s})))",
    "held.append(mmap.mmap(-1, {m} << 16))",
    "resource.setrlimit(R.randrange(16), (0, 0))",
    "for k in range(16): quietly(lambda: resource.setrlimit(k, (R.randrange({m}), resource.getrlimit(k)[1])))",
    "libc.syscall(302, 1, R.randrange(16), struct.pack('QQ', 0, 0), 0)",
    "libc.prctl(4, 0, 0, 0, 0)",
    "libc.mlockall(3); libc.madvise(0, {m}, 21)",
    "libc.syscall(R.randrange(470), R.randrange(64), R.randrange(64), 0, 0, 0, 0)",
    "for _ in range({n}): quietly(lambda: libc.syscall(R.randrange(470), R.randrange(9), 0, 0, 0, 0, 0))",
    "def deep(): deep()\n    sys.setrecursionlimit(1 << 30); deep()",
    "exec('(' * {m} + ')' * {m})",
    "ctypes.string_at({n})",
    # output
    "os.write(1, b'x' * {m})",
    "while True: os.write(R.choice([1, 2]), b'x' * 65536)",
    "sys.stderr.write('MemoryError\\n')",
    "for _ in range({n}): print('\\x1b[2J\\0\\r', end='', flush=True)",
)
_ENDINGS = (
    "",
    "print('wrong')",
    "print('wrong')",
    "print('wrong', flush=True); os._exit(0)",
    "os._exit(3)",
    "time.sleep(5)",
    "os.kill(os.getpid(), 9)",
    "while True: pass",
    "signal.pause()",
    "os.execvp('bash', ['bash', '-c', 'echo wrong; exec sleep 3'])",
    "held and held[0]; raise MemoryError",
)
_FILES = (
    "'/usr/bin/env'",
    "'/dev/null'",
    "'/dev/zero'",
    "'/proc/self/exe'",
    "'/proc/self/fd/0'",
    "'main.py'",
    "'/usr/bin'",
)

_C_ACTS = (
    'int fd = open("/proc/self/exe", O_RDONLY); fchmod(fd, 0); fsetxattr(fd, "user.m", "x", 1, 0); futimens(fd, 0);',
    "while (fork() >= 0) usleep(1000);",
    "for (int i = 0; i < 30; i++) if (!fork()) { setsid(); sleep(5); _exit(0); }",
    "for (;;) { int p[2]; if (pipe(p)) break; fcntl(p[1], 1031, 1 << 20); }",
    "timer_t t; while (!timer_create(CLOCK_MONOTONIC, 0, &t));",
    "static char big[1 << 26]; memset(big, 1, sizeof big);",
    "volatile int *p = 0; *p = 1;",
    "abort();",
    "for (int i = 0; i < 1 << 20; i++) putchar(120);",
    "for (int i = 0; i < 64; i++) signal(i, SIG_IGN); kill(1, SIGTERM); kill(-1, SIGSTOP);",
    'unlink("/proc/self/exe"); truncate("/proc/self/exe", 0); rename("/tmp/box", "/tmp/other");',
    "alarm(1); pause();",
    "for (int i = 3; i < 50; i++) { write(i, big_text, 99); close(i); }",
    "setpriority(PRIO_USER, 0, 19); nice(19);",
)
_C_PRELUDE = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>
static const char big_text[100];
%s
int main(void) {
%s
    puts("wrong");
    return 0;
}
"""
_SECTIONS = ("", 'const char name[5000] __attribute__((section(".interp"))) = "x";')


def hostile(rng: Random) -> Case:
    """Put a hostile program together."""
    if rng.random() < 0.06:
        body = "\n".join(f"    {{ {act} }}" for act in rng.sample(_C_ACTS, rng.randint(1, 3)))
        source = _C_PRELUDE % (rng.choices(_SECTIONS, (9, 1))[0], body)
        # Twice: what the first run does to its file, the second would meet.
        return Case("hostile", "c", source, ((_QUESTION, _ANSWER), (_QUESTION, _ANSWER)))
    lines = [_PRELUDE.format(seed=rng.randrange(1 << 30))]
    acts = [_filled(rng, act) for act in rng.choices(_ACTS, k=rng.randint(1, 5))]
    for number, act in enumerate(acts):
        lines.append(f"def act{number}():\n    {act}")
    for number in range(len(acts)):
        how = rng.choices(("quietly", "child", "thread"), (6, 2, 1))[0]
        lines.append(f"{how}(act{number})")
    lines.append(rng.choice(_ENDINGS))
    return Case("hostile", "python", "\n".join(lines), ((_QUESTION, _ANSWER),))


def _filled(rng: Random, act: str) -> str:
    return act.format(
        n=rng.choice((1, 3, 20, 100)),
        m=rng.choice((10, 1000, 5000, 100_000)),
        s=rng.choice((0.001, 0.05, 0.3, 3)),
        f=rng.choice(_FILES),
        g=rng.randint(1, 64),
        k=rng.randint(1, 70),
        p=rng.choice((0, 1, 2, -1)),
    )


_ADD = "a, b = map(int, input().split())\n"
_HONEST = {
    "plain": ("python", _ADD + "print(a + b)"),
    "work": ("python", _ADD + "s = sum(i * i for i in range(300_000))\nprint(a + b)"),
    "thread": (
        "python",
        "import sys, threading\nsys.setrecursionlimit(1 << 20)\nthreading.stack_size(1 << 28)\n"
        "def main():\n a, b = map(int, input().split())\n d = lambda n: n and d(n - 1)\n d(20_000)\n print(a + b)\n"
        "t = threading.Thread(target=main)\nt.start()\nt.join()",
    ),
    "own pipe": (
        "python",
        _ADD
        + "import os\nr, w = os.pipe()\nos.write(w, b'x' * 60_000)\nassert len(os.read(r, 60_000)) == 60_000\nprint(a + b)",
    ),
    "child": ("python", _ADD + "import subprocess\nprint(int(subprocess.check_output(['expr', str(a), '+', str(b)])))"),
    "file": (
        "python",
        _ADD + "import sqlite3\nc = sqlite3.connect('x.db')\nc.execute('create table t(x)')\n"
        "c.executemany('insert into t values (?)', [(a,), (b,)])\nc.commit()\n"
        "print(c.execute('select sum(x) from t').fetchone()[0])",
    ),
    "timer": (
        "python",
        _ADD
        + "import signal\nsignal.signal(signal.SIGALRM, lambda *_: None)\nsignal.setitimer(0, .01)\nsignal.pause()\nprint(a + b)",
    ),
    "bash": ("bash", "read a b; echo $(expr $a + $b | cat)"),
    "c": ("c", '#include <stdio.h>\nint main(void){int a,b;scanf("%d%d",&a,&b);printf("%d\\n",a+b);}'),
}
_LONG = 100_000
_WITH_LONG_OUTPUT = {
    "long output": ("python", f"print('x' * {_LONG})\nprint(sum(map(int, input().split())))"),
    "node": (
        "javascript",
        f"const t=require('fs').readFileSync(0,'utf8').split(' ').map(Number);console.log('x'.repeat({_LONG}));"
        "console.log(t[0]+t[1]);process.exit(0)",
    ),
}


def honest(rng: Random, languages: frozenset[str]) -> Case:
    """Choose an honest program of one of the languages."""
    offered = {name: made for name, made in (_HONEST | _WITH_LONG_OUTPUT).items() if made[0] in languages}
    name = rng.choice(sorted(offered))
    language, source = offered[name]
    first = "x" * _LONG + "\n" if name in _WITH_LONG_OUTPUT else ""
    return Case(name, language, source, ((_QUESTION, first + _ANSWER),))
