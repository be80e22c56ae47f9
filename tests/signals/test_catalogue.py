"""The methods page says what the registry says, and nothing more."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from trainer_client.signals import INPUTS, OptionError, UnknownMethodError, _method, method, methods
from trainer_client.signals._method import METHODS, STAGES
from trainer_client.signals.authoring import Signal, SignalBatch, register
from trainer_client.signals.catalogue import describe, implemented, markdown, overview, papers, parts_page

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), "run python -m trainer_client.signals > docs/methods.md"


def test_the_page_of_the_parts_is_up_to_date() -> None:
    page = PAGE.with_name("parts.md").read_text(encoding="utf-8")
    assert page == parts_page(), "run python -m trainer_client.signals parts > docs/parts.md"


def test_every_paper_is_declared_once_and_every_method_names_one_that_is() -> None:
    keys = [paper.key for paper in papers()]
    assert len(keys) == len(set(keys))
    assert set(implemented()) <= {*keys}
    assert not {paper.key for paper in papers() if paper.outside} & set(implemented())
    assert [paper.key for paper in papers() if not paper.outside and paper.key not in implemented()] == ["intelliask"]


def test_papers_are_found_by_what_people_call_them() -> None:
    for name in ("DAPO", "dapo", "GRPO-CARE", "carr", "CaRR", "Dr. GRPO", "IntelliReward", "REINFORCE++", "GAE"):
        assert "provenance: " in describe(name) or "provenance " in describe(name), name
    assert describe("dr-grpo").startswith("Understanding R1-Zero-Like Training")
    called = [name.casefold() for paper in papers() for name in {n.casefold() for n in paper.called}]
    assert len(called) == len(set(called)), "two papers answer to one name"


def test_methods_read_declared_inputs_only() -> None:
    for each in methods():
        assert each.reads <= set(INPUTS), each.name
        assert {INPUTS[name].beside for name in each.reads} - {""} <= set(INPUTS), each.name


def test_every_module_of_a_stage_is_a_methods_file() -> None:
    homes = {each.target.__module__ for each in methods()}
    for stage in STAGES:
        for module in (PAGE.parents[1] / "trainer_client" / "signals" / stage).glob("*.py"):
            if not module.name.startswith("_"):
                assert f"trainer_client.signals.{stage}.{module.stem}" in homes
    for each in methods():
        assert each.target.__module__.split(".")[-2] == each.stage
        assert each.source, each.name


def test_every_default_is_accepted_where_it_stands() -> None:
    for spec in methods():
        if not spec.required:
            assert method(spec.name, **spec.defaults).options == spec.defaults


def test_describe_in_a_terminal() -> None:
    assert "formula    A_i = r_i - mean" in describe("dr_grpo")
    assert "max_length (required)" in describe("overlong")
    assert "not computed here" in describe("mswep")
    with pytest.raises(UnknownMethodError, match="did you mean dr_grpo"):
        describe("dr_grp")
    assert {line.split()[0] for line in overview().splitlines()} == {spec.name for spec in methods()}


def test_signals_import_nothing_of_the_client() -> None:
    for path in (PAGE.parents[1] / "trainer_client" / "signals").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            inside = module == "trainer_client.signals" or module.startswith("trainer_client.signals.")
            assert inside or not module.startswith(("trainer_client", "protos", "reward_servers")), f"{path}: {module}"
            assert not isinstance(node, ast.ImportFrom) or not node.level, f"{path}: a relative import"


def test_importing_the_main_path_loads_no_method_and_nothing_heavy() -> None:
    script = (
        "import sys, trainer_client.signals as s\n"
        "s.combine\n"
        "bad = [m for m in sys.modules if m.startswith('trainer_client.signals.advantage.') or 'catalogue' in m\n"
        "       or m.split('.')[0] in {'torch', 'scipy', 'pandas', 'pydantic', 'difflib'}]\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=PAGE.parents[1])


def test_the_file_that_the_docs_show_is_a_complete_method(tmp_path: Path) -> None:
    """Found by being there: nothing else is edited."""
    page = (PAGE.parent / "signals.md").read_text(encoding="utf-8")
    shown = page.partition("## Adding a paper")[2].partition("```python\n")[2].partition("```")[0]
    assert 25 <= len([line for line in shown.splitlines() if line.strip()]) <= 35
    (tmp_path / "root_grpo.py").write_text(shown, encoding="utf-8")
    vector = page.partition("## Adding a paper")[2].partition("```json\n")[2].partition("```")[0]
    (tmp_path / "vectors.jsonl").write_text(vector, encoding="utf-8")
    script = (
        "import trainer_client, trainer_client.signals.advantage as stage\n"
        f"stage.__path__.append({str(tmp_path)!r})\n"
        "from trainer_client.signals import catalogue\n"
        "found = trainer_client.advantages('root_grpo', [3.0, 1.0], groups=['p', 'p'], confidence=[1, 0.5], eps=0.0)\n"
        "assert found.tolist() == [1.0, -0.5], found\n"
        "assert 'Root-Scaled' in catalogue.describe('ROOT-GRPO') and '`root_grpo`' in catalogue.markdown()\n"
        "from tests.golden.__main__ import main\n"
        f"assert main([{str(tmp_path / 'vectors.jsonl')!r}]) == 0\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=PAGE.parents[1])


def test_a_formula_of_ones_own_needs_no_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer_client.signals._method.METHODS", {**METHODS})

    def halved(batch: SignalBatch) -> Signal:
        """Half of each reward."""
        return batch.signal(rewards=batch.rewards / 2)

    register("halved", stage="shaping", needs="row", inputs=("rewards",), formula="r / 2")(halved)
    own = _method.METHODS["halved"]
    assert (own.papers, own.provenance, own.source) == ((), "own", __name__)
    with pytest.raises(OptionError, match="give provenance"):
        register("borrowed", paper="grpo", stage="shaping", needs="row", inputs=("rewards",), formula="r", source="x")(
            halved
        )
