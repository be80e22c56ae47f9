"""When two addresses name the same page."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

URL = re.compile(r"(?:view-source:)?https?://[^\s<>\"”】\]|]+", re.IGNORECASE)

_PREFIX = re.compile(r"^(?:view-source:|https?://r\.jina\.ai/(?=https?:))+", re.IGNORECASE)
_TRACKING = re.compile(r"utm_\w+|gclid|fbclid|msclkid|dclid|yclid|mc_cid|mc_eid|igshid", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443}


def same_page(url: str) -> str:
    """A form that is equal for addresses of the same page.

    Scheme, case of the host, default port, a final slash, the fragment, tracking parameters, percent-encoding and the
    prefixes of readers do not count; every other query parameter does.
    """
    try:
        parts: SplitResult = urlsplit(_PREFIX.sub("", url.strip()))
        port = parts.port
    except ValueError:
        return url.strip()
    host = (parts.hostname or "").rstrip(".")
    if port is not None and port != _PORTS.get(parts.scheme.lower()):
        host += f":{port}"
    parameters = [
        (name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if not _TRACKING.fullmatch(name)
    ]
    query = "&".join(f"{name}={value}" for name, value in parameters)
    return host + unquote(parts.path).rstrip("/") + (f"?{query}" if query else "")


def trimmed_url(text: str) -> str:
    """An address as it appears in prose, without the punctuation that belongs to the prose."""
    while text:
        last = text[-1]
        if last in ".,;:!?*_'’`~" or (last == ")" and text.count(")") > text.count("(")):
            text = text[:-1]
        else:
            break
    return text
