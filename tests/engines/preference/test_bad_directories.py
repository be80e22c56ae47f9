"""What is no preference model is refused with path and remedy; what is only partly broken costs no other item."""

from __future__ import annotations

from pathlib import Path

import pytest

from reward_servers.engines.models import ModelUnusableError
from reward_servers.engines.preference import PreferenceModel
from tests.engines.models import pictures
from tests.preference_bad import BAD
from tests.preference_bad.__main__ import what_is_wrong


@pytest.mark.parametrize("name", [name for name, bad in BAD.items() if bad.says])
def test_a_bad_directory_is_refused_with_its_path_and_a_remedy(tmp_path: Path, name: str) -> None:
    BAD[name].make(tmp_path)
    with pytest.raises(ModelUnusableError, match=f"(?s){tmp_path}.*{BAD[name].says}"):
        PreferenceModel(tmp_path, **BAD[name].settings)


def test_a_model_of_another_kind_is_named_without_the_list_of_all_others(tmp_path: Path) -> None:
    pictures.clip(tmp_path)
    wanted = r"CLIPConfig[^,]*AutoModelForSequenceClassification\.; download the model again; it must be a trained"
    with pytest.raises(ModelUnusableError, match=wanted):
        PreferenceModel(tmp_path)


async def test_an_item_without_a_finite_output_costs_no_other(tmp_path: Path) -> None:
    assert await what_is_wrong(BAD["one infinite row of the embedding"], tmp_path) == ""
