"""Text-to-SQL by execution: a query is right when it returns what the reference returns, on every database."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import AliasChoices, ConfigDict, Field, model_validator

from reward_servers import (
    CallerError,
    Cost,
    DatasetError,
    ItemLimits,
    Reference,
    Rollout,
    Score,
    ServiceError,
    Settings,
    StartupError,
    verifier,
)
from reward_servers.engines.databases import Database, Equality, Failure, Runner, Table, is_ordered, same_table
from reward_servers.engines.text import fenced
from reward_servers.verifiers._answers import AnswerOptions, answer_part
from sandbox import SandboxConfig, SandboxError, open_sandbox

Cell = None | bool | int | float | str

_MOST = 64
_KEPT = 64
_SHOWN = 5
_LONGEST = 65_536
_HIDDEN = "/tmp"  # noqa: S108 - every run has one of its own
_ENDINGS = {"sqlite": (".sqlite", ".sqlite3", ".db"), "duckdb": (".duckdb", ".db")}


class SqlReference(Reference):
    """The right query with its database: scripts that make one or several, or the name of files that the server has."""

    model_config = ConfigDict(populate_by_name=True)

    query: str | None = Field(
        None,
        min_length=1,
        validation_alias=AliasChoices("query", "sql", "SQL", "answer"),
        description="The right query; `sql`, `SQL` and `answer` are read as well.",
    )
    rows: list[list[Cell]] | None = Field(None, description="The right result in place of a query.")
    setup: str | list[str] | None = Field(
        None, description="Statements that make the database; a list makes several, and the query must be right on all."
    )
    db_id: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", description="Name of files below the setting `databases`."
    )
    dialect: Literal["sqlite", "duckdb"] = Field("sqlite", description="Which engine runs the queries.")
    ordered: bool | None = Field(None, description="Whether the order of rows counts; as `query` has it, if not given.")

    @model_validator(mode="after")
    def _check(self) -> SqlReference:
        if (self.query is None) == (self.rows is None):
            raise ValueError("give `query`, or `rows`, and not both")
        if (self.setup is None) == (self.db_id is None):
            raise ValueError("give `setup`, or `db_id`, and not both")
        if not self.setup and self.db_id is None:
            raise ValueError("setup: there are no statements")
        if isinstance(self.setup, list) and len(self.setup) > (_MOST if self.rows is None else 1):
            raise ValueError(f"setup: at most {_MOST} databases, and one where `rows` are given")
        return self


class SqlOptions(AnswerOptions):
    """Which differences between two results count. The query is the last code fence of the selected part."""

    rows: Literal["bag", "set"] = Field(
        "bag", description="Whether it counts how often a row occurs; 'set' as in BIRD."
    )
    order: Literal["reference", "always", "never"] = Field(
        "reference", description="When the order of rows counts; 'reference': where the right query has ORDER BY."
    )
    columns: Literal["given", "any"] = Field(
        "given", description="'any': columns may stand in any order, as in Spider."
    )
    exact_types: bool = Field(False, description="Whether 1, 1.0 and true differ.")


class SqlSettings(Settings):
    """The databases of this host.

    Attributes:
        databases: Folder of database files: `NAME/NAME.sqlite` as Spider and BIRD lay them, or `NAME.sqlite`. Where the
            folder `NAME` holds several, a query must be right on all, as for distilled test suites.
        cgroup: ``auto``, ``require`` or ``off``: whether memory and processes are bounded by a control group.
        cgroup_parent: Directory of a delegated group.
    """

    score_neutral: ClassVar[frozenset[str]] = frozenset({"cgroup", "cgroup_parent"})

    databases: Path | None = None
    cgroup: Literal["auto", "require", "off"] = "auto"
    cgroup_parent: str | None = None


@verifier(
    "sql",
    version="1",
    cost=Cost.SANDBOX,
    limits=ItemLimits(cpu_s=7200.0, wall_s=7200.0, memory_bytes=0, response_bytes=1 << 19),
    aspects=dict.fromkeys(("runs", "databases"), 0.0),
    libraries=("duckdb",),
)
class Sql:
    """Whether a query returns what the right one returns, on SQLite or DuckDB in the sandbox; it may only read.

    Sources: execution accuracy of BIRD (arXiv 2305.03111) and of the test suites for Spider (arXiv 2010.02840).
    """

    def setup(self, settings: SqlSettings) -> None:
        """Open a sandbox, which refuses hosts where it cannot isolate."""
        self._folder = settings.databases.resolve() if settings.databases is not None else None
        if self._folder is not None and not self._folder.is_dir():
            raise StartupError(f"databases: {self._folder} is no folder")
        if self._folder is not None and self._folder.is_relative_to(_HIDDEN):
            raise StartupError(f"databases: queries have a {_HIDDEN} of their own; put the folder elsewhere")
        read_only = () if self._folder is None else (str(self._folder),)
        config = SandboxConfig(cgroup=settings.cgroup, cgroup_parent=settings.cgroup_parent, read_only=read_only)
        self._runner = Runner(lambda: open_sandbox(config=config))
        self._right: OrderedDict[tuple[Database, str], Table] = OrderedDict()
        _ = self._runner.slot

    def score(self, rollout: Rollout, ref: SqlReference, options: SqlOptions) -> Score:
        """Run one query."""
        databases = self._databases(ref)
        ordered = ref.ordered if ref.ordered is not None else ref.query is not None and is_ordered(ref.query)
        equality = Equality(
            options.rows,
            {"reference": ordered, "always": True, "never": False}[options.order],
            options.columns,
            options.exact_types,
        )
        try:
            expected = [self._expected(database, ref) for database in databases]
            query = _query(rollout, options)
            if query is None:
                return Score.floor("no_answer", f"there is no query (take = {options.take})")
            return self._judged(query, databases, expected, equality)
        except SandboxError as error:
            raise ServiceError(str(error), code="sandbox_failure", retryable=True) from None

    def close(self) -> None:
        """Close the sandbox."""
        self._runner.close()

    def _judged(self, query: str, databases: list[Database], expected: list[Table], equality: Equality) -> Score:
        for right, (database, table) in enumerate(zip(databases, expected, strict=True)):
            result = self._runner.run(database, query)
            if isinstance(result, Failure):
                code = {"refused": "not_read_only", "limit": "limit"}.get(result.stage, "query_error")
                aspects = {"runs": 0.0, "databases": right / len(databases)}
                return Score(0.0, code, note=result.message, aspects=aspects, feedback={"error": result.message})
            if not same_table(result, table, equality):
                evidence = {"query": query, "returned": result[:_SHOWN], "rows": len(result), "right": table[:_SHOWN]}
                return Score(0.0, aspects={"runs": 1.0, "databases": right / len(databases)}, evidence=evidence)
        return Score(1.0, aspects={"runs": 1.0, "databases": 1.0}, evidence={"query": query})

    def _expected(self, database: Database, ref: SqlReference) -> Table:
        if ref.query is None:
            assert ref.rows is not None
            return ref.rows
        key = (database, ref.query)
        if key not in self._right:
            table = self._runner.run(database, ref.query)
            if isinstance(table, Failure):
                where = "setup" if table.stage == "setup" else "query"
                raise DatasetError(f"reference.{where}: {table.message}")
            self._right[key] = table
            if len(self._right) > _KEPT:
                self._right.popitem(last=False)
        self._right.move_to_end(key)
        return self._right[key]

    def _databases(self, ref: SqlReference) -> list[Database]:
        if ref.setup is not None:
            scripts = [ref.setup] if isinstance(ref.setup, str) else ref.setup
            return [Database(ref.dialect, script=script) for script in scripts]
        if self._folder is None:
            raise CallerError("this server has no databases: set `databases`, or send `setup`", code="no_databases")
        endings = _ENDINGS[ref.dialect]
        inside = self._folder / str(ref.db_id)
        files = sorted(path for path in inside.glob("*") if path.suffix in endings)[:_MOST] if inside.is_dir() else []
        files = (
            files
            or [path for path in (self._folder / f"{ref.db_id}{ending}" for ending in endings) if path.is_file()][:1]
        )
        if not files:
            raise DatasetError(f"reference.db_id: this server has no {ref.dialect} database {ref.db_id!r}")
        return [Database(ref.dialect, path=str(path)) for path in files]


def _query(rollout: Rollout, options: SqlOptions) -> str | None:
    answer = answer_part(rollout, options)
    if answer is None:
        return None
    blocks = fenced(answer)
    query = (blocks[-1] if blocks else answer).strip()
    return query if query and len(query) <= _LONGEST else None
