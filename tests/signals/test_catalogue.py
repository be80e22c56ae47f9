"""The methods page says what the registry says, and nothing more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from trainer_client.signals import INPUTS, UnknownPreset, preset, presets
from trainer_client.signals.catalogue import describe, implemented, markdown, overview, papers

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), "run python -m trainer_client.signals > docs/methods.md"


def test_there_are_104_papers_and_no_preset_names_another() -> None:
    keys = [paper.key for paper in papers()]
    assert len(keys) == len(set(keys)) == 104
    assert set(implemented()) <= {"base", *keys}
    outside = {paper.key for paper in papers() if paper.outside}
    assert not outside & set(implemented())


def test_presets_read_declared_inputs_only() -> None:
    for spec in presets():
        for wish in spec.inputs:
            assert set(wish.split("|")) <= set(INPUTS), spec.name


def test_every_default_is_accepted_where_it_stands() -> None:
    for spec in presets():
        if not spec.required:
            assert preset(spec.name, **spec.defaults).options == spec.defaults


def test_describe_in_a_terminal() -> None:
    assert "formula    A_i = r_i - mean" in describe("dr_grpo")
    assert "max_length (required)" in describe("overlong")
    assert "not computed here" in describe("mswep")
    with pytest.raises(UnknownPreset, match="did you mean dr_grpo"):
        describe("dr_grp")
    assert {line.split()[0] for line in overview().splitlines()} == {spec.name for spec in presets()}


def test_importing_the_main_path_loads_no_family_and_nothing_heavy() -> None:
    script = (
        "import sys, trainer_client.signals as s\n"
        "s.combine\n"
        "bad = [m for m in sys.modules if '.presets._' in m or 'catalogue' in m\n"
        "       or m.split('.')[0] in {'torch', 'scipy', 'pandas', 'pydantic', 'difflib'}]\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=PAGE.parents[1])


def test_the_function_keeps_its_name_after_the_package_of_presets_is_loaded() -> None:
    script = "import trainer_client.signals as s\ns.preset('grpo')\nassert s.presets()\n"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=PAGE.parents[1])
