"""Arguments for and against a response, written by the judge before it decides (RAFTS, contrastive arguments)."""

from __future__ import annotations

import re

from reward_servers.engines.judging._ending import Ending, shown_of
from reward_servers.engines.judging._reply import Reply, Status
from reward_servers.engines.text import Marks

_TASK = (
    "Criteria: {criteria}\n\nGive no verdict. Write the strongest honest argument that the response {side}, in at most "
    "150 words, and point to what in the material supports it."
)
SIDES = {"favour": "meets the criteria", "against": "does not meet the criteria"}
"""What is argued, by the name of the argument."""
_LONGEST = 4_000
_DECLINES = re.compile(
    r"\W{0,8}(?:(?:(?:i|we)(?:['’]?m|['’]?re| am| are) (?:very |so |really )?(?:sorry|afraid)|sorry|(?:my )?apologies"
    r"|i apologi[sz]e|unfortunately)\b[\s,.:;–—-]{0,8}(?:(?:but|that)\s)?)?"
    r"(?:as an? (?:ai|language|assistant)\b[^,.\n]{0,40},?\s{0,4})?"
    r"(?:i|we)(?:\s|(?=['’]))(?:really |simply |just |must |have to ){0,2}"
    r"(?:(?:cannot|can['’]?t|can not|won['’]?t|will not|(?:['’]m |am )(?:unable|not able|not willing) to)"
    r"\s(?:[a-z]{1,20}ly\s)?(?:help|assist|comply|do (?:that|this|so)|fulfill?|engage|discuss|participate|continue"
    r"|provide (?:that|this|assistance|help|(?:a|an|any) (?:argument|evaluation|assessment))|evaluate|assess|judge)\b"
    r"|(?:decline|refuse)\b)"
    r"|\W{0,8}(?:抱歉|对不起|對不起|很抱歉)?[，,\s]{0,4}我?(?:无法|無法|不能|不會|不会)[^。\n]{0,20}(?:评|評|判断|判斷|协助|協助|帮助|幫助)",
    re.IGNORECASE,
)
"""How a text begins that declines. A denial further on, or of the material, is a part of an argument."""


def task_of(side: str, criteria: str) -> str:
    """What is asked in place of a verdict.

    Args:
        side: Name of the argument.
        criteria: What to judge by.
    """
    return _TASK.replace("{side}", SIDES[side]).replace("{criteria}", criteria)


def read_argument(raw: str, finish_reason: str, marks: Marks = ()) -> Reply:
    """Read an argument: its text is the value. One that is cut, filtered, declined or empty argues for no side."""
    ending, visible_text = Ending.of(finish_reason), shown_of(raw, marks)
    if ending is Ending.FILTERED:
        return Reply(Status.REFUSAL)
    if visible_text is None or ending in (Ending.CUT, Ending.OVERFLOWED):
        return Reply(Status.TRUNCATED)
    text = visible_text.strip()
    if not text:
        return Reply(Status.EMPTY)
    return Reply(Status.REFUSAL) if _DECLINES.match(text) else Reply(Status.OK, text[:_LONGEST].strip())
