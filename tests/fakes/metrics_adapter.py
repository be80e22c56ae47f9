"""A fake of what cannot be had here, an adapter of custom metrics: it speaks the API that autoscalers ask.

The figures are those of the real servers, read from each pod when they are asked for.
"""

from __future__ import annotations

import datetime
import json
import re
import ssl
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import trustme

GROUP, VERSION = "custom.metrics.k8s.io", "v1beta1"
_ROOT = f"/apis/{GROUP}/{VERSION}"
_METRIC = "assay_items_in_flight"
_SAMPLE = re.compile(rf"^{_METRIC} (\S+)$", re.MULTILINE)


class FakeMetricsAdapter:
    """Serves one metric of pods over TLS.

    Attributes:
        asked: What was answered to an autoscaler: items in flight by pod, in the order of the questions.
    """

    def __init__(self, host: str, pods: Callable[[str], Mapping[str, str]]) -> None:
        """Prepare it.

        Args:
            host: The address to serve on.
            pods: Addresses by pod of a label selector.
        """
        self.asked: list[dict[str, float]] = []
        self._host, self._pods = host, pods

    @contextmanager
    def running(self) -> Iterator[int]:
        """Serve.

        Yields:
            The port.
        """
        adapter = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                found = adapter._answer(self.path)
                body = json.dumps(found or {}).encode()
                self.send_response(200 if found else 404)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert(self._host).configure_cert(context)
        server = ThreadingHTTPServer((self._host, 0), Handler)
        server.daemon_threads = True
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def _answer(self, target: str) -> dict[str, Any] | None:
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        head = {"apiVersion": f"{GROUP}/{VERSION}", "metadata": {}}
        if path == _ROOT:
            resource = {"name": f"pods/{_METRIC}", "singularName": "", "namespaced": True, "kind": "MetricValueList"}
            resources = [{**resource, "verbs": ["get"]}]
            listed = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{VERSION}"}
            return {**listed, "resources": resources}
        wanted = re.fullmatch(rf"{_ROOT}/namespaces/([^/]+)/pods/\*/{_METRIC}", unquote(path))
        if wanted is None:
            return None
        now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        pods = self._pods(query.get("labelSelector", [""])[0])
        values = {pod: value for pod, ip in pods.items() if (value := _in_flight(ip)) is not None}
        self.asked.append(values)
        items = [
            {
                "describedObject": {"kind": "Pod", "apiVersion": "v1", "namespace": wanted[1], "name": pod},
                "metricName": _METRIC,
                "metric": {"name": _METRIC, "selector": None},
                "timestamp": now,
                "value": str(round(value)),
            }
            for pod, value in values.items()
        ]
        return {**head, "kind": "MetricValueList", "items": items}


def _in_flight(address: str) -> float | None:
    """Items in flight at a pod; None where it does not answer (yet)."""
    try:
        with urllib.request.urlopen(f"http://{address}:9464/metrics", timeout=5) as answer:
            found = _SAMPLE.search(answer.read().decode())
    except OSError:
        return None
    return float(found[1]) if found else None
