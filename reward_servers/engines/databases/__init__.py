"""Queries on databases, run where they can do no harm, and the tables that come of them.

A *database* is a script that makes it, or a file; a *table* is what a query returned: rows of plain values. `Runner`
runs one query on one database in the sandbox; `same_table` says whether two tables are the same by an `Equality`.
"""

from reward_servers.engines.databases._compare import Equality, is_ordered, same_table
from reward_servers.engines.databases._run import Database, Failure, Runner, Table

__all__ = ["Database", "Equality", "Failure", "Runner", "Table", "is_ordered", "same_table"]
