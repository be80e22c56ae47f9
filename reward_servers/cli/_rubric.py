"""``assay rubric``: rubrics made from preferences or scored responses, and their versions."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from reward_servers.cli._errors import EXIT_NO, UserError

if TYPE_CHECKING:
    from reward_servers.rubrics import MeteredModel, RubricResult, Versions
    from reward_servers.verifiers._judge_settings import JudgeSettings
    from reward_servers.verifiers._rubric_model import PromptCriteria, RubricFile

METHODS = {"autorule": "pairs", "cdrrm": "pairs", "mpo": "scored responses"}
_SAYS_AFTER = 15.0
_SOURCES = {"autorule": "arXiv 2506.15651", "cdrrm": "ldcan/CDRRM", "mpo": "arXiv 2504.20157"}


def rubric(
    action: Annotated[str, typer.Argument(metavar="ACTION", help="generate, or rollback.")],
    what: Annotated[str, typer.Argument(metavar="WHAT", help="generate: autorule, cdrrm or mpo. rollback: the file.")],
    source: Annotated[
        Path | None, typer.Argument(metavar="IN", help="Pairs (prompt, chosen, rejected); for mpo scored responses.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings file (TOML) with the model, as for `assay serve judge`.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Rubric file (JSON) to write; mpo refines the one that is there.")
    ] = None,
    min_prompts: Annotated[
        int, typer.Option(help="Prompts that a rule must come from; a single one plants none.", min=1)
    ] = 2,
    check: Annotated[
        int, typer.Option(help="autorule: pairs on which each rule is tried; 0 for none, as published.", min=0)
    ] = 8,
    each: Annotated[int, typer.Option(help="mpo: cases from each third of the scores.", min=1)] = 2,
    score: Annotated[
        str, typer.Option(help="mpo: the reward that the rubric gave, where `assay score` wrote several.")
    ] = "",
    frozen: Annotated[
        Path | None, typer.Option(help="mpo: pairs with which a new version must agree at least as often as the old.")
    ] = None,
    max_criteria: Annotated[int, typer.Option(help="Criteria at most.", min=1, max=100)] = 30,
    max_calls: Annotated[
        int, typer.Option(help="Requests to the endpoint at most; what was answered is kept.", min=1)
    ] = 2000,
    to: Annotated[int | None, typer.Option(help="rollback: number of the version; the one before without it.")] = None,
    seed: Annotated[int, typer.Option(help="Of what is drawn.", min=0)] = 0,
) -> int:
    """Make a rubric from data with the judge's model, as AutoRule, CDRRM or MPO do; go back to an earlier version."""
    from reward_servers.rubrics import RubricFileError, Versions

    try:
        if action == "rollback":
            rubric = Versions(Path(what)).roll_back(to)
            print(f"{what} is version {rubric.version} again, with {len(rubric.criteria)} criteria")
            return 0
        if action != "generate" or what not in METHODS:
            bad = f"WHAT: {what!r} makes no rubric" if action == "generate" else f"ACTION: {action!r} is none"
            raise UserError(f"{bad}; there is generate with {', '.join(METHODS)}, and rollback with a rubric's file")
        if source is None or config is None or out is None:
            missing = "IN" if source is None else "--config" if config is None else "--out"
            raise UserError(
                f"{missing}: is missing; give assay rubric generate {what} IN --config server.toml --out rules.json, "
                f"where IN holds {METHODS[what]}"
            )
        chosen = {"score": score, "check": check, "each": each, "frozen": frozen}
        chosen |= {"min_prompts": min_prompts, "max_criteria": max_criteria}
        return _generate(what, source, _settings(config, out, max_calls), Versions(out), chosen, seed)
    except RubricFileError as error:
        raise UserError(str(error)) from None


def _settings(config: Path, out: Path, max_calls: int) -> JudgeSettings:
    """The judge's settings, with a recording to go on from and a bound of requests."""
    from pydantic import ValidationError

    from reward_servers.config import ServerConfig, read_settings
    from reward_servers.verifiers._judge_settings import JudgeSettings, RecordingSettings

    section = read_settings(ServerConfig, config, {}).verifiers.get("judge")
    if section is None:
        raise UserError(f"{config}: has no [verifiers.judge]; give the base_url and the model of an endpoint there")
    try:
        settings = JudgeSettings.model_validate(section)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, ("verifiers", "judge", *first["loc"])))
        raise UserError(f"{config}: {where}: {first['msg']}") from None
    if settings.models:
        raise UserError(f"{config}: verifiers.judge.models: only one model can write a rubric; give base_url and model")
    if settings.path is not None:
        raise UserError(
            f"{config}: verifiers.judge.path: a model from a path only chooses verdicts; serve it, give its base_url"
        )
    allowed = min(filter(None, (settings.spend.max_requests, max_calls)))
    recording = settings.recording or RecordingSettings(path=out.with_name(f"{out.name}.replies.jsonl"), mode="cache")
    spend = settings.spend.model_copy(update={"max_requests": allowed})
    return settings.model_copy(update={"spend": spend, "recording": recording})


def _generate(
    method: str, source: Path, settings: JudgeSettings, versions: Versions, options: dict[str, Any], seed: int
) -> int:
    from reward_servers.rubrics import CasesError, ModelUnavailableError, digest_of, read_cases, read_pairs_as_text
    from reward_servers.training import RowsError

    if versions.path.exists() and method != "mpo":
        raise UserError(f"--out: {versions.path} exists; give another name, or remove it")
    if not versions.path.parent.is_dir():
        raise UserError(f"--out: {versions.path.parent} is not a folder; create it first")
    try:
        items: Any = read_cases(source, options["score"]) if method == "mpo" else read_pairs_as_text(source)
        frozen = read_pairs_as_text(options["frozen"]) if options["frozen"] is not None else []
    except (CasesError, RowsError) as error:
        raise UserError(str(error)) from None
    current = versions.read()
    criteria = (
        []
        if current is None
        else [criterion.model_dump(mode="json", exclude_defaults=True) for criterion in current.criteria]
    )
    try:
        written_rubric, metered = asyncio.run(_generated(method, items, criteria, frozen, settings, options, seed))
    except ModelUnavailableError as error:
        log = settings.recording.path if settings.recording is not None else ""
        raise UserError(f"{error}. No rubric is written; what was answered is kept in {log}: run it again") from None
    _tell(written_rubric, metered)
    if not written_rubric.criteria and not written_rubric.prompts:
        print("no criterion was left: no rubric is written")
        return EXIT_NO
    if not written_rubric.better:
        print(
            f"the new rubric agrees with {written_rubric.facts['agreement']!s} of the frozen pairs, the old one with "
            f"{written_rubric.facts['agreement_before']!s}: it is not put into use"
        )
        return EXIT_NO
    if current is not None and [*map(dict, written_rubric.criteria)] == criteria:
        print(f"{versions.path} stays as it is, version {current.version}")
        return 0
    about = {
        "method": method,
        "source": _SOURCES[method],
        "from": {"items": len(items), "digest": digest_of(items)},
        "model": metered.model or settings.model,
        "criteria": dict(
            zip([criterion["id"] for criterion in written_rubric.criteria], written_rubric.told, strict=False)
        ),
        "dropped": {name: count for name, count in written_rubric.dropped.items() if count},
        "unreadable": dict(metered.lost),
        **written_rubric.facts,
    }
    # A refinement of the criteria for every prompt leaves those of single prompts as they are.
    prompts = written_rubric.prompts or [
        criterion.model_dump(mode="json", exclude_defaults=True) for criterion in _prompts_of(current)
    ]
    new = {name: value for name, value in (("criteria", written_rubric.criteria), ("prompts", prompts)) if value}
    version = versions.write({**new, "made": about})
    print(f"wrote {versions.path}: version {version.version}, {len(written_rubric.criteria)} criteria for every prompt"
          + (f", and those of {len(prompts)} prompts" if prompts else ""))  # fmt: skip
    return 0


def _prompts_of(current: RubricFile | None) -> tuple[PromptCriteria, ...]:
    return () if current is None else current.prompts


async def _generated(
    method: str,
    items: Any,
    criteria: list[dict[str, Any]],
    frozen: Any,
    settings: JudgeSettings,
    options: dict[str, Any],
    seed: int,
) -> tuple[RubricResult, MeteredModel]:
    from reward_servers.rubrics import MeteredModel, autorule, cdrrm, mpo
    from reward_servers.verifiers._judge_settings import open_models

    backend = open_models(settings)[""]
    metered = MeteredModel(backend, seed, settings.total_timeout_s, send_seed=settings.send_seed)
    reporting = asyncio.create_task(_say(metered))
    sizes = {name: options[name] for name in ("min_prompts", "max_criteria")}
    try:
        if method == "autorule":
            work = autorule(items, metered, check=options["check"], **sizes)
        elif method == "cdrrm":
            work = cdrrm(items, metered)
        else:
            work = mpo(items, criteria, metered, each=options["each"], frozen=frozen, **sizes)
        return await work, metered
    finally:
        reporting.cancel()
        await backend.close()


async def _say(metered: MeteredModel) -> None:
    from reward_servers.cli._console import print_note

    while True:
        await asyncio.sleep(_SAYS_AFTER)
        print_note(f"{metered.calls} replies so far, {metered.input_tokens + metered.output_tokens} tokens")


def _tell(result: RubricResult, metered: MeteredModel) -> None:
    from reward_servers.cli._console import print_note, print_table

    if result.criteria:
        rows = [
            [
                str(criterion["id"]),
                str(criterion.get("text") or criterion.get("pattern") or criterion.get("check")),
                remark,
            ]
            for criterion, remark in zip(result.criteria, result.told, strict=True)
        ]
        print_table(("criterion", "", "known"), rows)
    left_out = [f"{name} {count}" for name, count in sorted(result.dropped.items()) if count]
    if left_out:
        print_note(f"proposals left out: {', '.join(left_out)}")
    if metered.lost:
        lost = ", ".join(f"{name} {count}" for name, count in sorted(metered.lost.items()))
        print_note(f"questions without a usable reply, left out: {lost}")
    cost = f", cost {metered.cost:.4g}" if metered.cost else ""
    print_note(f"{metered.calls} replies, {metered.input_tokens} tokens read and {metered.output_tokens} written{cost}")
    for name, value in result.facts.items():
        print_note(f"{name.replace('_', ' ')}: {value}")
