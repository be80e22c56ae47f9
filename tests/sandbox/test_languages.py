"""The other rows of the language table."""

from __future__ import annotations

import pytest

import sandbox
from sandbox import Exit, Limits
from tests.sandbox.conftest import Runner

_SUMS = {
    "c": '#include <stdio.h>\nint main(){int a,b;scanf("%d %d",&a,&b);printf("%d\\n",a+b);return 0;}',
    "cpp": "#include <iostream>\nint main(){int a,b;std::cin>>a>>b;std::cout<<a+b<<std::endl;}",
    "javascript": "const [a,b]=require('fs').readFileSync(0,'utf8').split(' ').map(Number);console.log(a+b)",
    "bash": "read a b; echo $((a + b))",
    "python": "print(sum(map(int, input().split())))",
}


def _need(language: str) -> None:
    if language not in sandbox.languages():
        pytest.skip(f"no toolchain for {language}")


@pytest.mark.parametrize("language", _SUMS)
def test_sum(run: Runner, language: str) -> None:
    _need(language)
    prepared = run.prepare(_SUMS[language], language)
    for a, b in ((2, 3), (20, 22)):
        result = run.box.run(prepared, stdin=f"{a} {b}\n".encode(), limits=Limits(cpu_s=5))
        assert result.ok, result
        assert result.stdout == f"{a + b}\n".encode()
    run.box.discard(prepared)


@pytest.mark.parametrize("language", ["c", "cpp"])
def test_compiler_error(run: Runner, language: str) -> None:
    _need(language)
    failure = run.failure("int main( {", language)
    assert failure.ended is Exit.EXITED
    assert "error" in failure.message


def test_compiling_is_bounded(run: Runner) -> None:
    _need("cpp")
    bomb = (
        "template<int N> struct F { static const long v = F<N-1>::v + F<N-2>::v * N; };\n"
        "template<int N, int M> struct G { static const long v = G<N-1, M>::v + G<N, M-1>::v; };\n"
        "template<int N> struct G<N, 0> { static const long v = 1; };\n"
        "template<int M> struct G<0, M> { static const long v = 1; };\n"
        "int main() { return G<800, 800>::v; }"
    )
    failure = run.failure(bomb, "cpp", Limits(cpu_s=0.5, wall_s=60, memory_bytes=1 << 30))
    assert failure.ended in (Exit.CPU_LIMIT, Exit.EXITED, Exit.MEMORY_LIMIT)
    assert run.failure('#include "/dev/zero"\nint main(){}', "cpp", Limits(cpu_s=2, memory_bytes=1 << 29)).message


def test_compiler_sees_nothing_of_the_host(run: Runner) -> None:
    _need("c")
    failure = run.failure('#include "/etc/shadow"\nint main(){return 0;}', "c")
    assert "No such file" in failure.message


def test_native_ends(run: Runner) -> None:
    _need("cpp")
    crash = run("int f(int*p){return *p;} int main(){return f(0);}", language="cpp")
    assert (crash.ended, crash.signal) == (Exit.SIGNALED, 11)
    bad_alloc = "#include <vector>\nint main(){std::vector<char> v(1ull<<40);return v.size();}"
    assert run(bad_alloc, language="cpp").ended is Exit.MEMORY_LIMIT
    loop = run("int main(){volatile int i=0;for(;;)i++;}", language="cpp", limits=Limits(cpu_s=0.3, wall_s=30))
    assert loop.ended is Exit.CPU_LIMIT


def test_artefact_cannot_be_changed(run: Runner) -> None:
    _need("c")
    source = (
        "#include <stdio.h>\n#include <fcntl.h>\nint main(int c,char**v){"
        'int f=open("/proc/self/exe",O_RDWR);printf("%d\\n",f>=0);return 0;}'
    )
    assert run(source, language="c").stdout == b"0\n"


def test_javascript_memory(run: Runner) -> None:
    _need("javascript")
    for push in ("new Array(1000).fill(1)", "Buffer.alloc(1<<20,1)"):
        source = f"let a=[];while(true)a.push({push})"
        result = run(source, language="javascript", limits=Limits(cpu_s=20, memory_bytes=128 << 20))
        assert result.ended is Exit.MEMORY_LIMIT, result
    fits = "let a=[];for(let i=0;i<80;i++)a.push(Buffer.alloc(1<<20,1));console.log(a.length)"
    result = run(fits, language="javascript", limits=Limits(memory_bytes=128 << 20))
    assert result.stdout == b"80\n"


def test_shell_bomb(run: Runner) -> None:
    _need("bash")
    run(":(){ :|:& };:\nsleep 0.2", language="bash", limits=Limits(cpu_s=2, wall_s=3))
    assert run("echo alive", language="bash").stdout == b"alive\n"
