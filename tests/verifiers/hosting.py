"""What verifiers with case files need to be served: a judge that follows a rule, models that can be seen through."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.verifiers import clear_models

JUDGE = '[verifiers.judge]\nbase_url = "{url}"\nmodel = "rule"\n'


class Hosting(NamedTuple):
    """How a verifier is served.

    Attributes:
        settings: Text of the settings file; ``{url}`` is where the judge's endpoint is, ``{model}`` where the model is.
        beside: The verifiers that it asks.
        model: Where the model is; or what writes it into a folder.
    """

    settings: str = ""
    beside: tuple[str, ...] = ()
    model: Path | Callable[[Path], Path] | None = None

    def written(self, url: str, folder: Path) -> Path | None:
        """The settings file; None where none is needed."""
        if not self.settings:
            return None
        model = self.model(folder / "model") if callable(self.model) else self.model
        path = folder / "server.toml"
        path.write_text(self.settings.replace("{url}", url).replace("{model}", str(model)))
        return path


def _of(name: str, model: Path | Callable[[Path], Path], settings: str = "") -> Hosting:
    return Hosting(f'[verifiers.{name}]\npath = "{{model}}"\nthreads = 1\n{settings}', model=model)


_ASKING = Hosting(JUDGE, ("judge",))
_RESEARCH = Hosting(JUDGE, ("citation", "judge"))
HOSTED: Mapping[str, Hosting] = {
    "judge": Hosting(JUDGE),
    **dict.fromkeys(("panel", "pairwise", "best_of", "meaning"), _ASKING),
    "rubric": Hosting(JUDGE, ("judge", "pattern")),
    **dict.fromkeys(("citation_support", "faithfulness", "carr"), _RESEARCH),
    "prefixes": Hosting(beside=("item_set", "exact", "numeric")),
    "preference": _of("preference", clear_models.REVIEWER, 'template = "concat"\nadd_eos = "false"\nlabel = 0\n'),
    "similarity": _of("similarity", clear_models.ENCODER, 'summary = "last"\n'),
    # The last word decides, so the response that is asked about stands last.
    "comparison": _of("comparison", clear_models.REVIEWER, 'layout = "{prompt} {second} {first}"\n'),
    "process": _of("process", clear_models.even_steps, 'separator = "[SEP]"\n'),
    "likelihood": _of("likelihood", clear_models.even_words),
    "value": _of("value", clear_models.sure_value),
    "image_text": _of("image_text", clear_models.even_looks, 'kind = "aesthetic"\nhead = "{model}/head.safetensors"\n'),
}
