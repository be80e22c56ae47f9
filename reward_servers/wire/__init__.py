"""Between messages and the core's types: the only package of the server that reads or builds messages of rollouts."""

from reward_servers.wire._info import activity, client_share, clients, describe, entry, identity, load, slow_items
from reward_servers.wire._read import GroupReader, count_rollouts, parts, read_evaluations
from reward_servers.wire._write import Columns, RowPlaces, Rows, fill_result

__all__ = [
    "Columns",
    "GroupReader",
    "RowPlaces",
    "Rows",
    "activity",
    "client_share",
    "clients",
    "count_rollouts",
    "describe",
    "entry",
    "fill_result",
    "identity",
    "load",
    "parts",
    "read_evaluations",
    "slow_items",
]
