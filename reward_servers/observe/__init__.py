"""What an operator sees of a server: metrics, logs, and the spans of calls."""

from reward_servers.observe._calls import CallLog, CallRecord
from reward_servers.observe._exposition import CONTENT_TYPE, Family, exposition
from reward_servers.observe._fleet_metrics import fleet_metrics
from reward_servers.observe._http import MetricsServer
from reward_servers.observe._logs import FloodFilter, JsonFormatter, set_up_logging
from reward_servers.observe._server_metrics import process_families, server_families
from reward_servers.observe._slow import slow_report
from reward_servers.observe._tracing import Tracing

__all__ = [
    "CONTENT_TYPE",
    "CallLog",
    "CallRecord",
    "Family",
    "FloodFilter",
    "JsonFormatter",
    "MetricsServer",
    "Tracing",
    "exposition",
    "fleet_metrics",
    "process_families",
    "server_families",
    "set_up_logging",
    "slow_report",
]
