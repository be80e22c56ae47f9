"""Audits of a judge: what moves its verdicts that should not.

Nouns: a *probe* is a rollout as it is, padded, or with a plant; an *audit* is all probes of a file with the rewards
that are asked about them; a *report* is what the scores say of the judge.
"""

from reward_servers.auditing._measures import Calibration, Rate, calibration, kappa, rate, slope_within
from reward_servers.auditing._plan import Audit, AuditError, plan_audit
from reward_servers.auditing._plots import plot
from reward_servers.auditing._report import Report, report_of

__all__ = [
    "Audit",
    "AuditError",
    "Calibration",
    "Rate",
    "Report",
    "calibration",
    "kappa",
    "plan_audit",
    "plot",
    "rate",
    "report_of",
    "slope_within",
]
