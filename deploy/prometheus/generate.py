"""Writes the alert rules as an object of the Prometheus operator: ``python deploy/prometheus/generate.py``.

Run it after a change of ``assay_rules.yml``, which Prometheus itself reads.
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
TARGET = HERE.parent / "kubernetes" / "components" / "monitoring" / "rules.yaml"
_HEAD = """\
# Written by deploy/prometheus/generate.py from deploy/prometheus/assay_rules.yml; do not edit.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: assay}
spec:
"""


def prometheus_rule(rules: str) -> str:
    """The object that holds the text of a file of rules.

    Args:
        rules: The file, as Prometheus reads it: comments, then ``groups:``.
    """
    groups = rules[rules.index("groups:") :]
    return _HEAD + "".join(f"  {line}\n" if line else "\n" for line in groups.splitlines())


if __name__ == "__main__":
    TARGET.write_text(prometheus_rule((HERE / "assay_rules.yml").read_text()))
