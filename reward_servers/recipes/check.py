"""Finds what of a recipe cannot work with the verifiers that are there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from reward_servers.config import ServerConfig, load_config
from reward_servers.core import AssayServerError
from reward_servers.recipes.offers import NotOfferedError, Offer, Offers
from reward_servers.recipes.ranges import Range, reward_range, score_range, source_range
from trainer_client import Recipe, RecipeError, Reward, Server
from trainer_client.recipe.file import RecipeText
from trainer_client.recipe.inputs import Plan
from trainer_client.recipe.schedules import mistaken_schedule
from trainer_client.signals import Estimator, Gate, Pipeline

_RESHAPING = ("combination", "shaping")
"""Stages after which the range of a recipe's rewards says nothing any more."""
_ROUNDING = 1e-9
_CODES = (
    "default", "unavailable", "deadline", "invalid_reply", "server_error", "too_large", "bad_reference", "bad_metadata",
    "overloaded", "not_needed", "unknown_verifier", "invalid_options", "version_mismatch", "digest_mismatch",
    "invalid_request", "missing_reference", "verifier_error", "sandbox_failure", "judge_unavailable", "judge_malformed",
    "no_aspect",
)  # fmt: skip
"""Codes of missing scores that every user meets."""


class RequiredVerifier(NamedTuple):
    """What is known of a recipe, or of as much of one as can be read.

    Attributes:
        rewards: Its rewards.
        servers: The servers that it names.
        recipe: All of it; None where it cannot be read whole.
        settings: How a settings file is named for a verifier that no server's table names, in words.
    """

    rewards: Sequence[Reward]
    servers: Sequence[Server]
    recipe: Recipe | None
    settings: str = 'a file, named by config = "FILE" of a [servers.NAME] with that verifier'

    def server_of(self, verifier: str) -> Server:
        """The server that hosts a verifier."""
        hosts = (server for server in self.servers if verifier in server.verifiers)
        return next(hosts, Server(verifier, (verifier,)))


def problems_of(request: RequiredVerifier, offers: Offers, folder: Path) -> list[RecipeError]:
    """What cannot work, without lines.

    Args:
        request: The recipe.
        offers: The verifiers that are there.
        folder: What paths of settings files are relative to.
    """
    found_offers: dict[str, Offer | None] = {}
    problems = [problem for server in request.servers for problem in _of_server(server, offers, folder)]
    verifiers = {verifier for server in request.servers for verifier in server.verifiers}
    for reward in request.rewards:
        try:
            offer = offers.of_reward(request.server_of(reward.verifier_name), reward)
        except NotOfferedError as error:
            # One that a server's table names as well is reported there.
            if reward.verifier_name not in verifiers or offers.runs_elsewhere(request.server_of(reward.verifier_name)):
                path = offers.path_of(reward.verifier_name)
                message = f'the servers have it as {path}; write verifier = "{path}"' if path else str(error)
                problems.append(RecipeError(message, f"rewards.{reward.name}.verifier"))
            continue
        problems += _of_own_server(reward, request, offers)
        # Between which numbers a part of a verdict lies is said by nothing.
        found_offers[reward.name] = (
            replace(offer, low=None, high=None) if offer is not None and reward.aspect else offer
        )
        if offer is not None:
            # What follows the step is furthest where it begins or ends to change.
            turns = {turn for schedule in reward.schedules.values() for turn in schedule.turns} | {0}
            problems += _once(problem for turn in sorted(turns) for problem in _of_reward(reward.at(turn), offer))
    if request.recipe is not None and not problems:
        recipe = request.recipe
        problems += _of_inputs(recipe, found_offers)
        problems += _once(problem for turn in recipe.turns for problem in _of_method(recipe.at(turn), found_offers))
        problems += _of_lost_stages(recipe)
        problems += _of_constant(recipe, found_offers) if not problems else []
        problems += _of_codes(recipe)
    return problems


def _of_lost_stages(recipe: Recipe) -> Iterator[RecipeError]:
    """Stages whose advantages nothing reads, since a later one makes others."""
    method = recipe.estimator()
    if not isinstance(method, Pipeline):
        return
    makers = [stage.name for stage in method.stages if stage.spec.stage == "advantage"]
    for name in makers[:-1]:
        if name not in method.feeds.values():
            yield RecipeError(
                f"{makers[-1]} makes advantages of its own, and those of {name} would be lost; name one of them, or "
                f'give an input of the later one the earlier: [inputs] rewards = "stage.{name}"',
                "advantage",
            )


def _of_constant(recipe: Recipe, offers: Mapping[str, Offer | None]) -> Iterator[RecipeError]:
    """A reward that is always the same, of which no method makes anything."""
    plan = recipe.plan
    if plan is None or not {"rewards", "components"} & plan.reads or {"rewards", "components"} & plan.bound.keys():
        return
    ranges = [reward_range(recipe.at(turn), offers) for turn in recipe.turns]
    if all(possible is not None and possible == Range(0.0, 0.0) for possible in ranges):
        yield RecipeError(
            "is always 0, since every weight is, and nothing would be learned; give a reward a weight, or set "
            'advantage = "none" where all of them are monitors',
            "advantage",
        )


def _of_codes(recipe: Recipe) -> Iterator[RecipeError]:
    """Codes of `on_missing` that look mistyped. Verifiers may have codes of their own."""
    for reward in recipe.rewards:
        for code in reward.on_missing:
            close = get_close_matches(code, _CODES, n=1, cutoff=0.85)
            if close and code not in _CODES:
                yield RecipeError(f"did you mean {close[0]}?", f"rewards.{reward.name}.on_missing.{code}")


def _once(problems: Iterable[RecipeError]) -> list[RecipeError]:
    """The first problem of each key."""
    by_key: dict[str, RecipeError] = {}
    for problem in problems:
        by_key.setdefault(problem.key, problem)
    return list(by_key.values())


def check_recipe(recipe: Recipe, path: Path | None, offers: Offers, settings: str = "") -> None:
    """Refuse a recipe that cannot work.

    Args:
        recipe: The recipe.
        path: The file that it was read from; None for one made in code.
        offers: The verifiers that are there.
        settings: How a settings file is named, where no table of a server is written.

    Raises:
        RecipeError: Everything that is wrong, with lines.
    """
    folder = path.parent if path is not None else Path()
    request = RequiredVerifier(recipe.rewards, recipe.servers, recipe)
    problems = problems_of(request._replace(settings=settings) if settings else request, offers, folder)
    if problems:
        raise RecipeError.of_all(RecipeText.of_file(path).located(problems) if path is not None else problems)


def _of_server(server: Server, offers: Offers, folder: Path) -> Iterator[RecipeError]:
    if offers.runs_elsewhere(server):
        return
    for verifier in server.verifiers:
        try:
            offers.of(server, verifier)
        except NotOfferedError as error:
            yield RecipeError(str(error), f"servers.{server.name}.verifiers")
    try:
        config = load_config(folder / server.config if server.config is not None else None)
    except AssayServerError as error:
        yield RecipeError(str(error), f"servers.{server.name}.config")
        return
    file = str(folder / server.config) if server.config is not None else 'a file, named by config = "FILE"'
    for problem in offers.settings_problems(server, config, file):
        yield RecipeError(problem, f"servers.{server.name}.config")


def _of_own_server(reward: Reward, request: RequiredVerifier, offers: Offers) -> Iterator[RecipeError]:
    """What a verifier lacks whose server no table names, and so has no settings."""
    server = request.server_of(reward.verifier_name)
    if server in request.servers or offers.runs_elsewhere(server):
        return
    for problem in offers.settings_problems(server, ServerConfig(), request.settings):
        yield RecipeError(problem, f"rewards.{reward.name}.verifier")


def _of_reward(reward: Reward, offer: Offer) -> Iterator[RecipeError]:
    place = f"rewards.{reward.name}"
    if reward.version and reward.version != offer.version:
        yield RecipeError(
            f"{offer.name} has version {offer.version} ({offer.place}), and {reward.version} is asked for; write "
            f'"{offer.name}@{offer.version}", or "{offer.name}" for any',
            f"{place}.verifier",
        )
    if problem := offer.option_problem(reward.options):
        key, _, reason = problem.partition(": ")
        name = key.removeprefix("options.").partition(".")[0]
        yield RecipeError(reason + mistaken_schedule(reward.options.get(name)), f"{place}.{key}")
    if reward.aspect and (problem := _mistyped_aspect(offer, reward.aspect)):
        yield RecipeError(problem, f"{place}.aspect")
    scores = score_range(offer) if not reward.aspect else None
    if reward.gate is not None and scores is not None and not _may_open(reward.gate, scores):
        yield RecipeError(
            f"never opens: {offer.name} gives scores of {scores}, and none is {reward.gate.comparison} "
            f"{reward.gate.threshold:g}",
            f"{place}.gate",
        )


def _may_open(gate: Gate, scores: Range) -> bool:
    match gate.comparison:
        case ">=":
            return scores.high >= gate.threshold
        case ">":
            return scores.high > gate.threshold
        case "<=":
            return scores.low <= gate.threshold
        case _:
            return scores.low < gate.threshold


def _of_inputs(recipe: Recipe, offers: Mapping[str, Offer | None]) -> Iterator[RecipeError]:
    """Aspects that are read and that no verdict has."""
    if recipe.plan is None:
        return
    for name, sources in recipe.plan.sources().items():
        for source in sources:
            offer = offers.get(source.name)
            if source.kind == "aspect" and offer is not None and (problem := _mistyped_aspect(offer, source.path[0])):
                yield RecipeError(problem, f"inputs.{name}")


def _mistyped_aspect(offer: Offer, aspect: str) -> str:
    """What is wrong with an aspect that looks mistyped; empty for others.

    Verdicts may have more aspects than a verifier declares, such as one for each dimension of a rubric.
    """
    if aspect in offer.aspects:
        return ""
    close = get_close_matches(aspect, offer.aspects, n=1, cutoff=0.75)
    # One that differs in its number alone is no slip: of a step or a criterion there may be any number.
    if not close or re.sub(r"\d+", "0", aspect) == re.sub(r"\d+", "0", close[0]):
        return ""
    return f"{offer.name} declares no aspect {aspect!r}; did you mean {close[0]}?"


def _of_method(recipe: Recipe, offers: Mapping[str, Offer | None]) -> Iterator[RecipeError]:
    """A method that is made for rewards which the recipe does not give."""
    method, plan = recipe.estimator(), recipe.plan
    if method is None or plan is None:
        return
    stages: Sequence[Estimator] = (method,) if isinstance(method, Estimator) else method.stages
    for stage in stages:
        yield from _of_stage(stage, plan, recipe, offers)
        if stage.spec.stage in _RESHAPING:
            return


def _of_stage(
    stage: Estimator, plan: Plan, recipe: Recipe, offers: Mapping[str, Offer | None]
) -> Iterator[RecipeError]:
    spec = stage.spec
    kind_of_input = "rewards" if "rewards" in spec.reads else "components"
    wish = next((wish.split("|") for wish in spec.inputs if kind_of_input in wish.split("|")), [])
    if not wish or any(name in plan.bound for name in wish if name != kind_of_input):
        return
    if kind_of_input in plan.bound:
        possible, where = source_range(plan.bound[kind_of_input], recipe, offers), f"inputs.{kind_of_input}"
    elif kind_of_input == "rewards":
        possible, where = reward_range(recipe, offers), "advantage"
    else:
        columns = [score_range(offers.get(reward.name)) for reward in recipe.rewards]
        columns_known = [column for column in columns if column is not None]
        possible = (
            Range(min(c.low for c in columns_known), max(c.high for c in columns_known))
            if len(columns_known) == len(columns)
            else None
        )
        where = "advantage"
    if possible is None:
        return
    if spec.within is not None:
        low, high = spec.within
        if possible.low < low - _ROUNDING or possible.high > high + _ROUNDING:
            yield RecipeError(_outside(spec.name, kind_of_input, Range(low, high), possible), where)
    if spec.reaches and possible.high < float(stage.options[spec.reaches]):
        yield RecipeError(_unreached(stage, possible, recipe), where)


def _outside(method: str, column: str, made_for: Range, possible: Range) -> str:
    scale = ""
    if possible.low >= made_for.low and possible.high > 0:
        scale = f"; multiply the weights by {made_for.high / possible.high:.4g}"
    bounds = f"at least {made_for.low:g}" if made_for.high == float("inf") else f"of {made_for}"
    return (
        f"{method} is made for {column} {bounds}, and this recipe's may be {possible}{scale}, or give it one of them: "
        f'[inputs] {column} = {{ from = "REWARD", times = FACTOR }}'
    )


def _unreached(stage: Estimator, possible: Range, recipe: Recipe) -> str:
    option = stage.spec.reaches
    least = float(stage.options[option])
    first = recipe.rewards[0].name
    factor = f"{6.0 / possible.high:.4g}" if possible.high > 0 else "FACTOR"
    return (
        f"{stage.name} counts rewards of at least {option} = {least:g}, and this recipe's are {possible}: nothing "
        f'would be learned. Scale them, such as [inputs] rewards = {{ from = "{first}", times = {factor} }}, or '
        f"set {option}"
    )
