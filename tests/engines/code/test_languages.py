"""Programs of the compiled languages: a right one, wrong ones and hostile ones of each.

Skipped where the toolchain is not installed; `make test-languages` installs them all and allows no skip.
"""

# ruff: noqa: E501 (programs in one line)

from __future__ import annotations

import os
from typing import Any

import pytest

import sandbox
from tests.engines.code.conftest import Judge

LANGUAGES = ("c", "cpp", "java", "go", "rust", "javascript", "typescript", "bash")
C = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n#include <unistd.h>\nint main(void) {{ long a, b; {} }}\n"
JAVA = "import java.util.*;\npublic class Adder {{\n  static int deep(int n) {{ return n == 0 ? 0 : 1 + deep(n - 1); }}\n  public static void main(String[] x) throws Exception {{ {} }}\n}}\nrecord Pair(int a, int b) {{ }}\n"
GO = 'package main\nimport (\n"fmt"\n"os"\n"net"\n)\nvar _ = net.Dial\nvar _ = os.Exit\nvar _ = fmt.Println\nfunc main() {{ {} }}\n'
RUST = (
    "use std::io::{{self, BufRead, Read}};\n#[allow(unused)]\nfn main() {{ let _ = io::stdin().lock().lines(); {} }}\n"
)
JS = "{}\n"
TS = "import * as fs from 'fs';\ninterface Pair {{ a: number; b: number }}\nenum Kind {{ One = 1 }}\nconst read = (): Pair => {{ const [a, b] = fs.readFileSync(0, 'utf8').split(' ').map(Number); return {{ a, b }}; }};\n{}\n"
FRAMES = {
    "c": C,
    "cpp": C.replace("<stdlib.h>", "<cstdlib>\n#include <vector>\n#include <ranges>"),
    "java": JAVA,
    "go": GO,
    "rust": RUST,
    "javascript": JS,
    "typescript": TS,
    "bash": "{}\n",
}
BODIES: dict[str, dict[str, str]] = {
    "c": {
        "right": 'scanf("%ld %ld", &a, &b); printf("%ld\\n", a + b);',
        "wrong": 'puts("6");',
        "crash": "abort();",
        "loop": "for (;;) a++;",
        "bomb": "for (;;) { char *p = malloc(1 << 20); if (!p) return 1; memset(p, 1, 1 << 20); }",
        "broken": "int x = ;",
        "flood": 'for (;;) puts("xxxxxxxxxxxxxxxx");',
    },
    "java": {
        "right": "Scanner s = new Scanner(System.in); System.out.println(s.nextInt() + s.nextInt() + deep(50000) - 50000);",
        "wrong": "System.out.println(6);",
        "crash": 'throw new IllegalStateException("no");',
        "loop": "long n = 0; while (n >= 0) n = (n + 1) % 1000;",
        "bomb": "List<byte[]> l = new ArrayList<>(); while (true) l.add(new byte[1 << 20]);",
        "broken": "int x = ;",
        "flood": 'while (true) System.out.println("xxxxxxxxxxxxxxxx");',
        "network": 'try { new java.net.Socket("1.1.1.1", 53); System.out.println(5); } catch (java.io.IOException e) { System.out.println(6); }',
    },
    "go": {
        "right": "var a, b int; fmt.Scan(&a, &b); fmt.Println(a + b)",
        "wrong": "fmt.Println(6)",
        "crash": "var m map[string]int; m[\"a\"] = 1",
        "loop": "for n := 0; ; n++ { _ = n }",
        "bomb": "var l [][]byte; for { p := make([]byte, 1<<20); for i := range p { p[i] = 1 }; l = append(l, p) }",
        "broken": "x := ",
        "flood": 'for { fmt.Println("xxxxxxxxxxxxxxxx") }',
        "network": 'if c, err := net.Dial("tcp", "1.1.1.1:53"); err == nil { c.Close(); fmt.Println(5) } else { fmt.Println(6) }',
    },
    "rust": {
        "right": "let mut s = String::new(); io::stdin().read_to_string(&mut s).unwrap(); println!(\"{}\", s.split_whitespace().map(|x| x.parse::<i64>().unwrap()).sum::<i64>());",
        "wrong": 'println!("6");',
        "crash": 'panic!("no");',
        "loop": "let mut n = 3u64; loop { n = n.wrapping_mul(n) + 2; if n == 1 { println!(\"{}\", n); } }",
        "bomb": "let mut l = Vec::new(); loop { l.push(vec![1u8; 1 << 20]); }",
        "broken": "let x: = 3;",
        "flood": 'loop { println!("xxxxxxxxxxxxxxxx"); }',
        "network": 'match std::net::TcpStream::connect("1.1.1.1:53") { Ok(_) => println!("5"), Err(_) => println!("6") }',
    },
    "javascript": {
        "right": "const [a, b] = require('fs').readFileSync(0, 'utf8').split(' ').map(Number); console.log(a + b)",
        "wrong": "console.log(6)",
        "crash": "throw new Error('no')",
        "loop": "for (;;) {}",
        "bomb": "const l = []; for (;;) l.push(new Array(1 << 16).fill(Math.random()))",
        "flood": "for (;;) require('fs').writeSync(1, 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')",
    },
    "typescript": {
        "right": "const { a, b }: Pair = read(); console.log(a + b + Kind.One - 1); process.exit(0)",
        "wrong": "console.log(6)",
        "crash": "throw new Error('no')",
        "loop": "for (;;) {}",
        "bomb": "const l: number[][] = []; for (;;) l.push(new Array(1 << 16).fill(Math.random()))",
        "broken": "const x: number = ;",
        "flood": "for (;;) fs.writeSync(1, 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')",
    },
    "bash": {
        "right": "read a b; echo $((a + b))",
        "wrong": "echo 6",
        "crash": "exit 3",
        "loop": "while :; do :; done",
        "flood": "while :; do echo xxxxxxxxxxxxxxxx; done",
    },
}  # fmt: skip
BODIES["cpp"] = {**BODIES["c"], "bomb": "std::vector<long> v; for (;;) v.push_back(1);", "right": 'scanf("%ld %ld", &a, &b); std::vector v{a, b}; long s = 0; for (long x : v | std::views::all) s += x; printf("%ld", s);'}  # fmt: skip
VERDICTS = {
    "right": {"accepted"},
    "wrong": {"wrong_answer"},
    "crash": {"runtime_error"},
    "loop": {"time_limit"},
    "bomb": {"memory_limit", "runtime_error"},  # a program may catch that it is refused memory, and exit
    "broken": {"compile_error"},
    "flood": {"output_limit"},
    "network": {"wrong_answer"},
}
LIMITS = {"cpu_s": 1.5, "wall_s": 15, "memory_mb": 256, "stdout_bytes": 10_000}
# More than Java's own start takes, so that its own stack and heap are what the limit is about.
LARGER = {"java": {"memory_mb": 512}}


def need(language: str) -> None:
    """Skip where there is no toolchain, unless all are meant to be there."""
    if language not in sandbox.languages():
        message = f"no toolchain for {language}"
        pytest.fail(message) if os.environ.get("ASSAY_NEED_LANGUAGES") else pytest.skip(message)


@pytest.mark.parametrize(("language", "kind"), [(name, kind) for name in LANGUAGES for kind in BODIES[name]])
def test_programs(judged: Judge, language: str, kind: str) -> None:
    need(language)
    frame = FRAMES[language] if language not in ("bash", "javascript") else "{}\n"
    body = BODIES[language][kind]
    source = frame.replace("{}", body).replace("{{", "{").replace("}}", "}") if frame != "{}\n" else body
    reference: dict[str, Any] = {
        "language": language,
        "tests": [{"stdin": "2 3", "stdout": "5"}],
        "limits": {**LIMITS, **LARGER.get(language, {})},
    }
    judgement = judged(source, reference)
    assert judgement.verdict.value in VERDICTS[kind], judgement.evidence()


@pytest.mark.parametrize(
    ("source", "verdict"),
    [
        ("class A { public static void main(String[] x) { System.out.println(5); } }\nclass B { }", "accepted"),
        ("class B { }\nclass A { static final class C { } public static void main(String[] x) { System.out.println(5); } }", "accepted"),
        ("public final class Solution { public static void main(String... x) { System.out.println(5); } }", "accepted"),
        ("interface Main { static void main(String[] x) { System.out.println(5); } }", "accepted"),
        ("public class A { }", "runtime_error"),
    ],
)  # fmt: skip
def test_the_main_class_of_java(judged: Judge, source: str, verdict: str) -> None:
    need("java")
    reference = {"language": "java", "tests": [{"stdin": "", "stdout": "5"}], "limits": LIMITS}
    assert judged(source, reference).verdict.value == verdict
