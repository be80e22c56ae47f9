"""Spans of calls, for OpenTelemetry where it is installed and wanted.

A trainer that traces its steps sends the span of the step in the metadata of each call (``traceparent``); the server's
span is then a child of it, so that a step shows what it waited for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any

from reward_servers.core import SettingsError

Metadata = Iterable[Any]
"""The metadata of a call: pairs of key and value."""


class Span:
    """The span of a call, for the length of a block; one that goes nowhere unless calls are traced.

    Not a generator, and with all that is noted set at once: half of what a span costs is made around it.
    """

    __slots__ = ("_before", "_context", "_span")

    def __init__(self, span: Any = None, context: Any = None) -> None:
        self._span = span
        self._context = context

    @property
    def goes_somewhere(self) -> bool:
        """Whether anything is done with what is noted: not where the caller's trace, or this one, is not sampled."""
        return self._span is not None and bool(self._span.is_recording())

    def set(self, fields: Mapping[str, str | int]) -> None:
        """Note what is known of the call; what is empty is not."""
        if self._span is not None:
            self._span.set_attributes({f"assay.{name}": value for name, value in fields.items() if value != ""})

    def __enter__(self) -> Span:
        """Make it the span that others begin within."""
        if self._span is not None:
            from opentelemetry import context, trace

            self._before = context.attach(trace.set_span_in_context(self._span, self._context))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it, with the error that ended the call."""
        if self._span is None:
            return
        from opentelemetry import context
        from opentelemetry.trace import StatusCode

        context.detach(self._before)
        if isinstance(error, Exception):
            self._span.record_exception(error)
            self._span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")
        self._span.end()


_NOWHERE = Span()


class Tracing:
    """Makes spans."""

    def __init__(self, provider: Any) -> None:
        """Prepare.

        Args:
            provider: A tracer provider of OpenTelemetry; None for no spans.
        """
        self._provider = provider
        self._tracer: Any = None
        if provider is not None:
            from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

            self._tracer, self._propagator = provider.get_tracer("assay"), TraceContextTextMapPropagator()

    @classmethod
    def to(cls, endpoint: str | None) -> Tracing:
        """Send spans to a collector.

        Args:
            endpoint: Where it takes OTLP over gRPC, such as ``http://127.0.0.1:4317``; None for no spans.

        Raises:
            SettingsError: The packages for it are not installed.
        """
        if endpoint is None:
            return cls(None)
        try:
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise SettingsError(f"tracing.endpoint: {error}; install 'assay[otel]'") from None
        provider = TracerProvider(resource=Resource.create({"service.name": "assay"}))
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
        return cls(provider)

    def span(self, name: str, metadata: Metadata) -> Span:
        """The span of a call."""
        if self._tracer is None:
            return _NOWHERE
        carrier = {str(key): str(value) for key, value in metadata if key in ("traceparent", "tracestate")}
        parent = self._propagator.extract(carrier) if carrier else None
        return Span(self._tracer.start_span(name, parent), parent)

    def close(self) -> None:
        """Send what is left."""
        if self._provider is not None:
            self._provider.shutdown()
