"""What verifiers with case files need to be served: a judge that follows a rule, models that can be seen through."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

JUDGE = '[verifiers.judge]\nbase_url = "{url}"\nmodel = "rule"\n'


class Hosting(NamedTuple):
    """How a verifier is served.

    Attributes:
        settings: Text of the settings file; ``{url}`` is where the judge's endpoint is, ``{model}`` where the model is.
        beside: The verifiers that it asks.
        model: What of `clear_models` writes the model into a folder.
    """

    settings: str = ""
    beside: tuple[str, ...] = ()
    model: str = ""

    def written(self, url: str, folder: Path) -> Path | None:
        """The settings file; None where none is needed."""
        if not self.settings:
            return None
        path = folder / "server.toml"
        path.write_text(self.text(url, folder / "model"))
        return path

    def text(self, url: str, model: Path) -> str:
        """The settings; the model is written into a folder, where there is one."""
        if self.model:
            # What computes with models is loaded by the tests that need one alone.
            getattr(import_module("tests.verifiers.clear_models"), self.model)(model)
        return self.settings.replace("{url}", url).replace("{model}", str(model))


def _of(name: str, model: str, settings: str = "") -> Hosting:
    return Hosting(f'[verifiers.{name}]\npath = "{{model}}"\nthreads = 1\n{settings}', model=model)


_ASKING = Hosting(JUDGE, ("judge",))
_RESEARCH = Hosting(JUDGE, ("citation", "judge"))
HOSTED: Mapping[str, Hosting] = {
    "judge": Hosting(JUDGE),
    **dict.fromkeys(("panel", "pairwise", "best_of", "meaning"), _ASKING),
    "rubric": Hosting(JUDGE, ("judge", "pattern")),
    **dict.fromkeys(("citation_support", "faithfulness", "carr"), _RESEARCH),
    "prefixes": Hosting(beside=("item_set", "exact", "numeric")),
    "preference": _of("preference", "last_words", 'template = "concat"\nadd_eos = "false"\n'),
    "similarity": _of("similarity", "apart", 'summary = "last"\n'),
    # The last word decides, so the response that is asked about stands last.
    "comparison": _of("comparison", "last_words", 'layout = "{prompt} {second} {first}"\n'),
    "process": _of("process", "marked_steps", 'separator = "[SEP]"\n'),
    "likelihood": _of("likelihood", "marked_texts"),
    "value": _of("value", "sure_value"),
    "image_text": _of("image_text", "even_looks", 'kind = "aesthetic"\nhead = "{model}/head.safetensors"\n'),
}


def all_written(names: Iterable[str], url: str, folder: Path) -> Path:
    """One settings file for several of them, with their models beside it."""
    texts = {HOSTED[name].text(url, folder / name): None for name in names if name in HOSTED}
    folder.mkdir(exist_ok=True)
    path = folder / "server.toml"
    path.write_text("\n".join(texts))
    return path
