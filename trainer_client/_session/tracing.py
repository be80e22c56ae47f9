"""The span that surrounds a caller, so that servers make theirs below the trainer's step."""

from __future__ import annotations

import sys


def current_trace() -> str:
    """The caller's span as a W3C ``traceparent``; empty where there is none.

    OpenTelemetry is read where the trainer has imported it, and never imported here.
    """
    api = sys.modules.get("opentelemetry.trace")
    if api is None:
        return ""
    context = api.get_current_span().get_span_context()
    if not context.is_valid:
        return ""
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
