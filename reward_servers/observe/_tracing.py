"""Spans of calls, for OpenTelemetry where it is installed and wanted.

A trainer that traces its steps sends the span of the step in the metadata of each call (``traceparent``); the server's
span is then a child of it, so that a step shows what it waited for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from reward_servers.core import SettingsError

Metadata = Iterable[Any]
"""The metadata of a call: pairs of key and value."""


class Span:
    """The span of a call; one that goes nowhere unless calls are traced."""

    def __init__(self, span: Any = None) -> None:
        self._span = span

    @property
    def goes_somewhere(self) -> bool:
        """Whether anything is done with what is noted."""
        return self._span is not None

    def set(self, fields: Mapping[str, str | int]) -> None:
        """Note what is known of the call."""
        if self._span is not None:
            for name, value in fields.items():
                self._span.set_attribute(f"assay.{name}", value)


_NOWHERE = nullcontext(Span())


class Tracing:
    """Makes spans."""

    def __init__(self, provider: Any) -> None:
        """Prepare.

        Args:
            provider: A tracer provider of OpenTelemetry; None for no spans.
        """
        self._provider = provider
        self._tracer: Any = provider.get_tracer("assay") if provider is not None else None

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

    def span(self, name: str, metadata: Metadata) -> AbstractContextManager[Span]:
        """The span of a call, for the length of a block."""
        return _NOWHERE if self._tracer is None else self._child(name, metadata)

    @contextmanager
    def _child(self, name: str, metadata: Metadata) -> Iterator[Span]:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier = {str(key): str(value) for key, value in metadata if key in ("traceparent", "tracestate")}
        parent = TraceContextTextMapPropagator().extract(carrier)
        with self._tracer.start_as_current_span(name, context=parent) as span:
            yield Span(span)

    def close(self) -> None:
        """Send what is left."""
        if self._provider is not None:
            self._provider.shutdown()
