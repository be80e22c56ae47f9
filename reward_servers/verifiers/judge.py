"""Asks a language model for a verdict: at an endpoint of the chat-completions protocol, or in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from random import Random

from reward_servers import CallerError, Context, ItemLimits, Rollout, Score, UpstreamError, verifier
from reward_servers.engines.judging import (
    SIDES,
    Backend,
    ChatError,
    ChatRejectedError,
    ChatUnavailableError,
    Controls,
    Exchange,
    Question,
    Template,
)
from reward_servers.verifiers._judge_options import JudgeOptions, JudgeReference
from reward_servers.verifiers._judge_pictures import Pictures, check_reader, pictures_of
from reward_servers.verifiers._judge_questions import mean_of, question_of, score_of
from reward_servers.verifiers._judge_settings import JudgeSettings, ModelSettings, open_models
from reward_servers.verifiers._shown import is_empty, reader_view

_ITEMS = 256
_BY_PLANTS = ("ambiguous", "unparsed")
OPPONENT_PROVOKED = "opponent_provoked"
"""Code of a comparison that the other response loses; aspect of a floor score where it is to blame as well."""


@verifier(
    "judge",
    version="10",
    deterministic=False,
    # The endpoint's own timeouts bound an item. This is a backstop: an item may wait long for a busy endpoint.
    limits=ItemLimits(wall_s=3600.0, response_bytes=1 << 18),
    aspects={"rating": None},
)
class Judge:
    """What a language model says: yes or no, a rating, a grade, or which of several responses is better.

    Sources: LLM-as-a-judge (arXiv 2306.05685); expected scores of G-Eval (arXiv 2303.16634).
    """

    def setup(self, settings: JudgeSettings) -> None:
        """Open the connection pools, or load the model."""
        self._settings = settings
        self._models = settings.all_models()
        if any(model.images for model in self._models.values()):
            check_reader()
        self._backends = open_models(settings)
        self._templates = {name: Template(model.text) for name, model in settings.templates.items()}
        self._controls = Controls()
        # Items that wait for a place, or for their next attempt, are no requests in flight.
        places = sum(model.concurrency * max(1, len(model.urls)) for model in self._models.values())
        self.concurrency = max(_ITEMS, 2 * places)

    def facts(self) -> dict[str, str]:
        """The abilities of each model that were found at start."""
        facts: dict[str, str] = {}
        for name, backend in self._backends.items():
            facts |= {" ".join(filter(None, (name, where))): value for where, value in backend.facts().items()}
        return facts

    async def close(self) -> None:
        """Close the connections."""
        for backend in self._backends.values():
            await backend.close()

    async def score(self, rollout: Rollout, ref: JudgeReference, options: JudgeOptions, ctx: Context) -> Score:
        """Ask until there is a verdict, or report why there is none."""
        response = reader_view(rollout, transcript=options.show_transcript, reasoning=options.show_reasoning)
        pictures = Pictures()
        if options.show_images:
            others = [compared.images for compared in ref.others(options.protocol)] if options.compares else []
            pictures = await pictures_of(rollout, transcript=options.show_transcript, others=others)
        if pictures.refused is not None:
            return pictures.refused
        if is_empty(rollout, response, transcript=options.show_transcript, images=options.show_images):
            return Score.floor("no_answer", "the response is empty")
        name = options.model or self._drawn(ctx.seed)
        if name not in self._models:
            names = ", ".join(filter(None, self._models)) or "none by name: leave the option out"
            raise CallerError(f"options.model: there is no {name!r}; this judge has {names}", code="unknown_model")
        if options.template and options.template not in self._templates:
            names = ", ".join(self._templates) or "none: the operator sets [verifiers.judge.templates.NAME]"
            raise CallerError(
                f"options.template: there is no {options.template!r}; this judge has {names}", code="invalid_template"
            )
        question = question_of(rollout, response, ref, options, ctx.seed, self._templates.get(options.template))
        question = replace(question, reasoning_marks=self._models[name].reasoning_marks)
        if pictures.any:
            question = self._illustrated(question, pictures, name, options)
        if not options.arguments:
            return await self._decided(question, rollout, name, options, ctx)
        argued = await self._argued(question, name, options, ctx)
        if isinstance(argued, Score):
            return argued
        arguments = {side: str(argument.value) for side, argument in argued.items()}
        texts = tuple(arguments.values())
        both = [replace(question, arguments=order) for order in (texts, texts[::-1])]
        return mean_of(
            [await self._decided(exchange, rollout, name, options, ctx, argued) for exchange in both], arguments
        )

    def _illustrated(self, question: Question, pictures: Pictures, name: str, options: JudgeOptions) -> Question:
        """The question with its pictures.

        Raises:
            CallerError: The pictures of a response that is judged step by step belong to none of its steps.
            UpstreamError: The model sees none.
        """
        if pictures.response and options.protocol == "steps":
            raise CallerError(
                "options.protocol: steps shows no pictures of a response; set show_images = false",
                code="unsupported_media",
            )
        if not self._models[name].images:
            raise UpstreamError(
                "the rollout holds pictures, and the judge's model is set to see none: set images = true for a model "
                "that does, or the option show_images = false",
                code="judge_no_images",
            )
        shown_each = list(pictures.others)
        shown_each.insert(options.place, pictures.response)
        return replace(question, prompt_images=pictures.prompt, response_images=tuple(shown_each))

    async def _decided(
        self,
        question: Question,
        rollout: Rollout,
        name: str,
        options: JudgeOptions,
        ctx: Context,
        argued: Mapping[str, Exchange] | None = None,
    ) -> Score:
        exchange = Exchange(question, expected=options.expected, min_mass=options.min_mass, argued=argued or {})
        failure, message = await self._hold(exchange, name, options, ctx)
        if failure:
            return await self._without_verdict(failure, message, exchange, name, options, ctx)
        return score_of(exchange, rollout, options)

    async def _argued(
        self, question: Question, name: str, options: JudgeOptions, ctx: Context
    ) -> Mapping[str, Exchange] | Score:
        """The arguments for and against; the floor where the response provably kept the judge from writing one.

        Raises:
            UpstreamError: It did not write both.
        """
        sides: dict[str, Exchange] = {}
        for side in SIDES:
            sides[side] = Exchange(replace(question, argues=side), argued=sides)
        # An argument is asked for once: the reminder of another try speaks of the form of a verdict.
        once = options.model_copy(update={"max_reasks": 0})
        tasks = {asyncio.create_task(self._hold(exchange, name, once, ctx)): exchange for exchange in sides.values()}
        waiting = set(tasks)
        try:
            while waiting:
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                # One argument is of no use without the other. A fault is raised here.
                if any(task.done() and task.result()[0] for task in tasks):
                    break
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task, exchange in tasks.items():
            if not task.cancelled() and task.exception() is None and task.result()[0]:
                return await self._without_verdict(*task.result(), exchange, name, options, ctx)
        return sides

    def _drawn(self, seed: int) -> str:
        """One of several models. It follows from the seed alone: which one judges must not depend on the load."""
        names = list(self._models)
        weights = [self._models[name].weight for name in names]
        return names[0] if len(names) == 1 else Random(seed).choices(names, weights)[0]  # noqa: S311 - no secret

    def _budget(self, ctx: Context) -> float:
        left, longest = ctx.remaining(), self._settings.total_timeout_s
        return longest if left is None else min(left, longest)

    async def _hold(self, exchange: Exchange, name: str, options: JudgeOptions, ctx: Context) -> tuple[str, str]:
        """Hold the exchange; why there is no verdict, in a word and in a sentence, both empty when there is one.

        Raises:
            UpstreamError: The endpoint is away.
        """
        settings: ModelSettings = self._models[name]
        try:
            await exchange.run(
                self._backends[name],
                # A model that takes the likeliest verdict says the same again.
                reasks=options.max_reasks if settings.path is None else 0,
                budget=self._budget(ctx),
                send_seed=settings.send_seed,
            )
        except ChatUnavailableError as error:
            raise _fault("unavailable", str(error), exchange, retryable=True, retry_after=error.retry_after) from None
        except ChatRejectedError as error:
            return error.reason, str(error)
        finally:
            _count(ctx, exchange)
        return exchange.failure, exchange.reason

    async def _without_verdict(
        self, failure: str, message: str, exchange: Exchange, name: str, options: JudgeOptions, ctx: Context
    ) -> Score:
        """The floor for a failure that the response provably caused, a fault for every other."""
        backend: Backend = self._backends[name]
        try:
            code, blame = "planted", exchange.planters()
            if not any(blame):
                holders = await asyncio.to_thread(lambda: exchange.question.holders)
                # A verdict in the response may make a judge lose its form; that it does is to be proved.
                code = "planted" if failure in _BY_PLANTS and any(holders) else failure
                blame = await self._controls.provokers(
                    code, exchange.question, backend, self._budget(ctx), lambda control: _count(ctx, control)
                )
                if code == "planted":
                    blame = tuple(proved and holds for proved, holds in zip(blame, holders, strict=True))
        except ChatError as error:
            # As long as the judge is unavailable it cannot be decided whether the response caused the failure.
            raise _fault("unavailable", f"{message}; control call: {error}", exchange, retryable=True) from None
        exchange.blamed = tuple(place for place, to_blame in enumerate(blame) if to_blame)
        own = options.place in exchange.blamed
        if not exchange.blamed or options.on_provoked == "fault" or not (own or options.protocol != "best_of"):
            raise _fault(f"provoked_{code}" if exchange.blamed else failure, message, exchange)
        if not own:
            note = f"the other response caused it: {message}"
            return Score(1.0, OPPONENT_PROVOKED, note=note, evidence=exchange.evidence())
        floor = Score.floor(f"provoked_{code}", f"the response caused it: {message}", exchange.evidence())
        return replace(floor, aspects={"rating": None, OPPONENT_PROVOKED: 1.0}) if len(exchange.blamed) > 1 else floor


def _fault(
    reason: str, message: str, exchange: Exchange, *, retryable: bool = False, retry_after: float | None = None
) -> UpstreamError:
    return UpstreamError(
        message, code=f"judge_{reason}", retryable=retryable, retry_after=retry_after, evidence=exchange.evidence()
    )


def _count(ctx: Context, exchange: Exchange) -> None:
    ctx.usage.upstream_calls += exchange.calls
    ctx.usage.input_tokens += exchange.input_tokens
    ctx.usage.output_tokens += exchange.output_tokens
    ctx.usage.cost += exchange.cost
