"""Writes the Grafana dashboard: ``python deploy/grafana/generate.py`` after a change of the panels below."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PANELS: tuple[tuple[str, str, str, str], ...] = (
    ("Items per second by outcome", "ops", "{{verifier}} {{outcome}}", "sum by (verifier, outcome) (rate(assay_items_total[$__rate_interval]))"),
    ("Faults by party and code", "ops", "{{verifier}} {{party}} {{code}}", 'sum by (verifier, party, code) (rate(assay_items_total{outcome="fault"}[$__rate_interval]))'),
    ("Share of verdicts by code", "percentunit", "{{verifier}} {{code}}", 'sum by (verifier, code) (rate(assay_items_total{outcome="verdict"}[$__rate_interval])) / ignoring (code) group_left sum by (verifier) (rate(assay_items_total{outcome="verdict"}[$__rate_interval]))'),
    ("Run time, median", "s", "{{verifier}}", "histogram_quantile(0.5, sum by (verifier, le) (rate(assay_item_run_seconds_bucket[$__rate_interval])))"),
    ("Run time, 99 of 100", "s", "{{verifier}}", "histogram_quantile(0.99, sum by (verifier, le) (rate(assay_item_run_seconds_bucket[$__rate_interval])))"),
    ("Waiting time, 99 of 100", "s", "{{verifier}}", "histogram_quantile(0.99, sum by (verifier, le) (rate(assay_item_queue_seconds_bucket[$__rate_interval])))"),
    ("How full", "percentunit", "{{instance}}", "assay_items_in_flight / assay_items_limit"),
    ("Refused", "ops", "{{instance}}", "rate(assay_refused_total[$__rate_interval])"),
    ("Items in flight by client", "short", "{{client}}", "sum by (client) (assay_client_items_in_flight)"),
    ("Items per second by client", "ops", "{{client}}", "sum by (client) (rate(assay_client_items_total[$__rate_interval]))"),
    ("Cache hits", "percentunit", "{{instance}}", 'rate(assay_cache_lookups_total{result="hit"}[$__rate_interval]) / ignoring (result) sum without (result) (rate(assay_cache_lookups_total[$__rate_interval]))'),
    ("Workers missing", "short", "{{instance}} {{pool}}", "assay_workers - assay_workers_ready"),
    ("Workers that died", "ops", "{{pool}} {{cause}}", "sum by (pool, cause) (rate(assay_worker_deaths_total[$__rate_interval]))"),
    ("Servers started again", "short", "{{server}}", "increase(assay_server_restarts_total[$__range])"),
    ("Bytes received and sent", "Bps", "{{instance}}", "rate(assay_received_bytes_total[$__rate_interval]) + rate(assay_sent_bytes_total[$__rate_interval])"),
    ("CPU of servers", "short", "{{instance}}", "rate(process_cpu_seconds_total[$__rate_interval])"),
    ("Memory of servers", "bytes", "{{instance}}", "process_resident_memory_bytes"),
    ("Calls that failed", "ops", "{{method}} {{status}}", 'sum by (method, status) (rate(assay_calls_total{status!="OK"}[$__rate_interval]))'),
)  # fmt: skip
"""Title, unit, legend and query of each panel."""


def dashboard() -> dict[str, Any]:
    """The dashboard as Grafana imports it."""
    panels = [
        {
            "id": number + 1,
            "type": "timeseries",
            "title": title,
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "gridPos": {"h": 8, "w": 8, "x": 8 * (number % 3), "y": 8 * (number // 3)},
            "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
            "targets": [{"refId": "A", "expr": query, "legendFormat": legend}],
        }
        for number, (title, unit, legend, query) in enumerate(PANELS)
    ]
    source = {"name": "datasource", "type": "datasource", "query": "prometheus"}
    return {
        "uid": "assay-servers",
        "title": "assay: reward servers",
        "schemaVersion": 39,
        "time": {"from": "now-3h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": [source]},
        "panels": panels,
    }


if __name__ == "__main__":
    target = Path(__file__).with_name("assay.json")
    target.write_text(json.dumps(dashboard(), indent=1) + "\n")
