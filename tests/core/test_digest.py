"""What changes a verifier's digest, and what does not."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path

import pytest

from reward_servers.core import Verifier, bind
from reward_servers.core._digest import canonical_code

_CODE = '''"""A module."""
from __future__ import annotations
from {package}.helper import worth
from reward_servers import Rollout, Settings, verifier


class Chosen(Settings):
    """Settings."""

    score_neutral = frozenset({{"address"}})
    address: str = ""
    strict: bool = False


@verifier("acme/probe", version="1", libraries=["numpy"{more}])
class Probe:
    """A verifier."""

    def setup(self, settings: Chosen) -> None:
        """Takes settings."""

    def score(self, rollout: Rollout) -> float:
        """Judges."""
        return worth(rollout.response)
'''
_HELPER = "def worth(text):\n    return float(len(text) > 3)\n"


def _probe(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch, helper: str = _HELPER, code: str = _CODE, more: str = ""
) -> Verifier:
    package = folder / name / "probed"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "helper.py").write_text(helper)
    (package / "module.py").write_text(code.format(package="probed", more=more))
    monkeypatch.syspath_prepend(str(folder / name))
    for module in [one for one in sys.modules if one.partition(".")[0] in ("probed", "beside_it")]:
        del sys.modules[module]
    importlib.invalidate_caches()
    found = importlib.import_module("probed.module").Probe
    assert isinstance(found, Verifier)
    return found


def test_comments_and_layout_do_not_change_a_digest_and_code_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def digest(name: str, **how: str) -> str:
        return bind(_probe(tmp_path, name, monkeypatch, **how)).identity.digest

    plain = digest("plain")
    assert (
        digest(
            "comment", helper="# why\n\n\ndef worth(text):  # what\n    return float(\n        len(text) > 3\n    )\n"
        )
        == plain
    )
    assert digest("other", helper=_HELPER.replace("3", "4")) != plain
    assert digest("text", helper=_HELPER.replace("3", "'3'")) != plain
    assert digest("library", more=', "no-such-library"') != plain
    own = _CODE.replace("return worth", "return 0.5 * worth")
    assert digest("own", code=own) != plain


@pytest.mark.parametrize(("place", "counts"), [("sources", True), ("site-packages", False)])
def test_what_lies_beside_a_verifier_counts_unless_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, counts: bool
) -> None:
    def facts(name: str, beside: str) -> tuple[str, bool]:
        folder = tmp_path / name / place
        folder.mkdir(parents=True)
        (folder / "beside_it.py").write_text(beside)
        bound = bind(_probe(tmp_path / name, place, monkeypatch, helper=f"import beside_it\n{_HELPER}"))
        return bound.identity.digest, bound.named

    plain = facts("plain", "A = 1\n")
    assert (facts("other", "A = 2\n")[0] != plain[0]) is counts
    assert not plain[1]
    assert facts("names", "def who(rollout):\n    return rollout.rollout_id\n")[1] is counts


def test_settings_change_a_digest_unless_they_are_neutral(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probe = _probe(tmp_path, "settings", monkeypatch)
    plain = bind(probe).identity.digest
    assert bind(probe, {"address": "elsewhere"}).identity.digest == plain
    assert bind(probe, {"strict": True}).identity.digest != plain


@pytest.mark.parametrize(
    ("one", "other"), [("x = 1", "x = True"), ("x = b'a'", "x = 'a'"), ("x = None", "x = ''"), ("f()", "f(None)")]
)
def test_different_code_is_written_differently(one: str, other: str) -> None:
    assert canonical_code(ast.parse(one)) != canonical_code(ast.parse(other))
