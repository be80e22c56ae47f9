"""Finding the program in a response."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reward_servers.engines.code import Extraction, extract


def found(response: str, language: str = "python", **options: object) -> str | None:
    return extract(response, language, **options).source  # type: ignore[arg-type]


def test_the_fenced_block_is_the_program() -> None:
    response = "Here:\n```python\nprint(1)\n```\nDone."
    result = extract(response, "python")
    assert result.source == "print(1)\n"
    assert result.rule == "fence"
    assert not result.truncated
    assert result.span is not None
    assert response[slice(*result.span)] == "print(1)\n"


@pytest.mark.parametrize(
    ("info", "language"),
    [
        ("python", "python"),
        ("Python3", "python"),
        ("py", "python"),
        ("{.python}", "python"),
        ("python title=a", "python"),
        ("c++", "cpp"),
        ("cpp", "cpp"),
        ("js", "javascript"),
        ("sh", "bash"),
        ("c", "c"),
    ],
)
def test_names_of_languages(info: str, language: str) -> None:
    assert found(f"```{info}\nx\n```", language) == "x\n"


def test_the_last_block_of_the_language_counts() -> None:
    response = "```python\na\n```\n```python\nb\n```\n```bash\nrun\n```\n```\noutput\n```"
    assert found(response) == "b\n"
    assert found(response, blocks="first") == "a\n"
    assert found(response, blocks="all") == "a\n\nb\n"
    assert extract(response, "python").blocks == 2


def test_the_block_that_defines_the_entry() -> None:
    response = "```python\ndef f(): pass\n```\nUsage:\n```python\nprint(f())\n```"
    assert found(response, blocks="entry", entry="f") == "def f(): pass\n"
    assert found(response, blocks="entry", entry="g") == "print(f())\n"


def test_an_untagged_block_counts_where_no_other_does() -> None:
    assert extract("```\nx\n```", "python").rule == "untagged_fence"
    assert found("```\nx\n```\n```python\ny\n```") == "y\n"


def test_a_block_of_another_language_never_counts() -> None:
    result = extract("```java\nclass A {}\n```", "python")
    assert result.source is None
    assert "java" in result.note


def test_blank_blocks_give_way() -> None:
    assert found("```python\nx\n```\n```python\n\n```") == "x\n"
    assert found("```python\n```") == ""


def test_a_response_without_code() -> None:
    result = extract("I do not know.", "python")
    assert result.source is None
    assert result.note == "no fenced block"


def test_an_unclosed_block_is_truncated() -> None:
    result = extract("```python\ndef f():\n    return", "python")
    assert result.source == "def f():\n    return\n"
    assert result.truncated


def test_code_in_the_reasoning_never_counts() -> None:
    assert found("<think>\n```python\ndraft\n```\n</think>\nNo code.") is None
    assert found("<think>\n```python\ndraft\n</think>\n```python\nx\n```") == "x\n"
    assert found("draft:\n```python\ny\n```\n</think>\n```python\nx\n```") == "x\n"
    assert found("<think>a</think>\n```python\nx\n```\n<think>\n```python\nz\n```\n</think>\n") == "x\n"
    assert found("```python\nx\n```\n<!--\n```python\ny\n```\n-->") == "x\n"
    assert found("<plan>\n```python\nx\n```\n</plan>", marks=[("<plan>", "</plan>")]) is None


def test_a_response_that_ends_inside_its_reasoning() -> None:
    result = extract("<think>\nLet me see\n```python\nx\n```\n", "python")
    assert result.source is None
    assert result.truncated


def test_tags_inside_the_program_are_text() -> None:
    program = "tags = ['<think>', '</think>']\n<think>\n"
    assert found(f"```python\n{program}```") == program
    assert found("The tag </think> ends it.\n```python\nx\n```") == "x\n"


def test_fences_of_other_lengths_and_indented_ones() -> None:
    assert found("````python\n```\nx\n```\n````") == "```\nx\n```\n"
    assert found("~~~python\nx\n~~~") == "x\n"
    assert found("1. a\n   ```python\n   if x:\n       y\n   ```\n") == "if x:\n    y\n"
    assert found('```python\ndef f():\n    """\n    ```\n    text\n    ```\n    """\n```') == (
        'def f():\n    """\n    ```\n    text\n    ```\n    """\n'
    )


def test_windows_line_ends() -> None:
    assert found("```python\r\nx = 1\r\n```\r\n") == "x = 1\n"


def test_a_bare_program_only_if_asked_for() -> None:
    assert found("print(1)") is None
    assert found("print(1)", bare=True) == "print(1)"
    assert found("I think so.", bare=True) is None


@given(st.text(alphabet="`~<>/think py\n\tx=1", max_size=200))
def test_any_text_gives_a_typed_result(response: str) -> None:
    result = extract(response, "python", bare=True)
    assert isinstance(result, Extraction)
    assert (result.source is None) == (result.rule == "none")
    if result.span is not None:
        assert 0 <= result.span[0] <= result.span[1] <= len(response)


@given(st.text(alphabet=st.characters(blacklist_characters="`~\r", blacklist_categories=["Cs"]), max_size=200))
def test_a_fenced_program_comes_back_whole(program: str) -> None:
    body = program.replace("\n", "\n ") + "\n"
    assert extract(f"Answer:\n```python\n{body}```\n", "python").source == body


@pytest.mark.parametrize(
    "response",
    [
        "<think></think>" * 100_000,
        "</think>" * 100_000,
        "<think></think>\n" * 100_000,
        "```\n" * 200_000,
        "`" * 10**6,
        ">" * 10**6,
        " \n" * 200_000,
        "<think>" * 100_000,
        "```python\n" * 100_000,
        "```cpp\n" + "// ```\n" * 20_000,
        "```cpp\n" + 'R"x(\n```\n' * 20_000,
        "```rust\n" + "/* ```\n" * 20_000,
        "```js\n" + "`\n```\n" * 20_000,
        "```bash\n" + "cat <<E\n```\n" * 20_000,
    ],
    ids=range(14),
)
def test_hostile_responses_cost_linear_time(response: str) -> None:
    for language in ("python", "cpp"):
        assert extract(response, language).hidden_chars <= len(response)


ADD = "a, b = map(int, input().split())\nprint(a + b)"


@pytest.mark.parametrize(
    "response",
    [
        f"```python\n{ADD}```\n",
        f"```python\n{ADD}```\nThis reads two numbers.\n",
        f"Here:\n```py\n{ADD}  ```</answer>\n",
        f"**Solution:** ```python\n{ADD}\n```\n",
        f"Code: ```python3\n{ADD}```\nand prose, with ```ticks``` in it.\n",
        f"1. ```python\n{ADD}\n```\n",
    ],
)
def test_text_on_the_line_of_a_fence(response: str) -> None:
    found = extract(response, "python")
    assert (found.source or "").strip() == ADD
    assert not found.truncated


@pytest.mark.parametrize(
    "inner", ["```\n2 3\n```", "```text\n2 3\n```", "Example: ```\n2 3\n```", "```\n1\n```\n```\n2\n```"]
)
@pytest.mark.parametrize("quote", ['"""', "'''"])
def test_a_fence_inside_a_string_is_part_of_the_program(inner: str, quote: str) -> None:
    program = f"{quote}\n{inner}\n{quote}\n{ADD}\n"
    for tag in ("python", ""):
        found = extract(f"First:\n```{tag}\n{program}```\nThen use it:\n\n```text\n5\n```\n", "python")
        assert found.source == program
    two = extract(f"```python\n{program}```\nBetter:\n```python\nprint(1)\n```\n", "python")
    assert (two.source, two.blocks) == ("print(1)\n", 2)


def test_a_block_that_never_compiles_ends_at_its_first_fence() -> None:
    found = extract("```python\nprint(\n```\nwords\n```python\nprint(2)\n```\n", "python", blocks="first")
    assert found.source == "print(\n"


def test_a_c_block_where_cpp_is_asked_for() -> None:
    assert extract("```c\nint main(){}\n```", "cpp").source == "int main(){}\n"
    assert extract("```c\nint main(){}\n```\n```cpp\nint x;\n```", "cpp").source == "int x;\n"
    assert extract("```cpp\nint main(){}\n```", "c").source is None


def test_a_title_is_no_closing_fence() -> None:
    assert extract("Use ```python``` for this.\n```python\nx\n```", "python").source == "x\n"
    assert extract("see ```this``` and that```\n```python\nx\n```", "python").source == "x\n"


@pytest.mark.parametrize(
    ("language", "program"),
    [
        (
            "rust",
            "/// ```\n/// assert_eq!(f(2), 4);\n/// ```\nfn f<'a>(x: i32) -> i32 { let c = '\"'; 2 * x }\n",
        ),
        (
            "javascript",
            "/**\n * ```js\n * twice(2)\n * ```\n */\nconst twice = x => 2 * x.replace(/\\/*$/, '').length;\n",
        ),
        ("java", '/* usage:\n```\njava Main\n```\n*/\nclass Main { String s = """\n```\n"""; }\n'),
        ("cpp", 'int big = 1\'000\'000;\nauto s = R"x(\n```\n)" \n```\n)x"; // done\nint main() {}\n'),
        ("c", "/* \n```\n*/ int main(void) { return '\"'; }\n"),
        ("go", "package main\n// ```\nfunc main() { print(`a\n`) }\n"),
        ("typescript", "// ```\nconst a: string = 'src/**/*.ts';\n"),
        ("bash", "cat <<'EOF'\n```\nEOF\n# ```\necho ${#x}\n"),
    ],
)
def test_a_fence_that_a_language_hides_is_part_of_the_program(language: str, program: str) -> None:
    found = extract(f"Here:\n```{language}\n{program}```\nIt works:\n```\n4\n```\n", language)
    assert found.source == program


@pytest.mark.parametrize("language", ["rust", "javascript", "java", "cpp", "c", "go", "typescript", "bash"])
def test_what_never_ends_hides_no_fence(language: str) -> None:
    begun = "cat <<EOF\n" if language == "bash" else "/* \n"
    assert extract(f"```{language}\n{begun}```\nprose\n```\nx\n```\n", language).source == begun
