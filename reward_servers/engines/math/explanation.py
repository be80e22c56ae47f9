"""A judgement in words, for a terminal."""

from __future__ import annotations

from reward_servers.engines.math.result import Judgement, Outcome

_HEADLINES = {
    Outcome.CORRECT: "correct",
    Outcome.INCORRECT: "incorrect",
    Outcome.NO_ANSWER: "no answer found",
    Outcome.LIMIT: "incorrect: the answer passes a bound",
    Outcome.GOLD_INVALID: "not judged: the reference cannot be used",
    Outcome.UNDECIDED: "not judged: the symbolic stage failed",
}


def explain(judgement: Judgement, response: str | None = None, *, width: int = 100) -> str:
    """Describe a judgement in a few lines.

    Args:
        judgement: What `judge` returned.
        response: The judged text; with it the answer is shown in its surroundings.
        width: Longest line of quoted text.
    """
    extraction = judgement.extraction
    lines = [f"{_HEADLINES[judgement.outcome]}  (rule: {judgement.rule})", f"  why        {judgement.reason}"]
    if extraction.text is not None:
        lines.append(f"  answer     {_short(extraction.text, width)}")
        lines.append(f"  found by   {extraction.rule}, characters {extraction.start} to {extraction.end}")
        if response is not None:
            lines.append(f"  context    {_context(response, extraction.start, extraction.end, width)}")
    else:
        lines.append(f"  answer     none: {extraction.rule}")
    if judgement.answer_form is not None:
        lines.append(f"  read as    {_short(judgement.answer_form, width)}")
    lines.append(f"  reference  {_short(judgement.gold, width)}")
    if judgement.gold_form is not None:
        lines.append(f"  read as    {_short(judgement.gold_form, width)}")
    lines.append(f"  policy     {judgement.policy}, engine version {judgement.version}")
    return "\n".join(lines)


def _short(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def _context(response: str, start: int, end: int, width: int) -> str:
    margin = max(10, (width - (end - start)) // 2)
    before = " ".join(response[max(0, start - margin) : start].split())
    after = " ".join(response[end : end + margin].split())
    return f"{before} ⟦{_short(response[start:end], width)}⟧ {after}".strip()
