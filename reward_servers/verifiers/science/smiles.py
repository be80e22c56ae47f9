"""Molecules, written as SMILES."""

from __future__ import annotations

from functools import lru_cache

from pydantic import Field
from rdkit import Chem, rdBase

from reward_servers import DatasetError, ItemLimits, Rollout, Score, verifier
from reward_servers.verifiers._answers import AnswerOptions, TextReference, answer_part, nothing_taken

_LONGEST = 2000

rdBase.DisableLog("rdApp.*")


class SmilesOptions(AnswerOptions):
    """Which differences count."""

    stereo: bool = Field(True, description="Whether stereochemistry counts.")


@lru_cache(maxsize=1024)
def _canonical(text: str, stereo: bool) -> str | None:
    """The canonical form; None if the text is no molecule."""
    if not text or len(text) > _LONGEST or any(sign.isspace() for sign in text):
        return None
    molecule = Chem.MolFromSmiles(text)
    if molecule is None or not molecule.GetNumAtoms():
        return None
    canonical: str = Chem.MolToSmiles(molecule, isomericSmiles=stereo)
    return canonical


@verifier("smiles", version="1", limits=ItemLimits(response_bytes=1 << 19), libraries=("rdkit",))
def smiles(rollout: Rollout, ref: TextReference, options: SmilesOptions) -> Score:
    """Whether a SMILES string is the right molecule, however it is written.

    Source: canonical SMILES (Weininger, 1988) as RDKit writes them.
    """
    right = [_canonical(text, options.stereo) for text in ref.answers]
    if None in right:
        raise DatasetError("reference.answer: not a SMILES string of a molecule")
    answer = answer_part(rollout, options)
    if answer is None:
        return nothing_taken(options)
    canonical = _canonical(answer.strip().strip("`"), options.stereo)
    if canonical is None:
        return Score.floor("malformed", "not a SMILES string of a molecule")
    return Score(float(canonical in right), evidence={"canonical": canonical})
