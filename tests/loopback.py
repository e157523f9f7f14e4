"""Servers on loopback that keep what they are sent."""

import gzip
import json
import socketserver
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest


@dataclass
class Webhook:
    """Its address, what it was sent, and the status of its next answers (200 after those)."""

    url: str = ""
    sent: list[dict[str, Any]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)


@contextmanager
def webhook() -> Iterator[Webhook]:
    hook = Webhook()

    def take(body: bytes) -> int:
        hook.sent.append(json.loads(body))
        return hook.answers.pop(0) if hook.answers else 200

    with _posted(take) as address:
        hook.url = f"{address}/secret"
        yield hook


@contextmanager
def collector() -> Iterator[tuple[str, dict[str, set[str]]]]:
    """An OpenTelemetry collector's address, and the attributes (name=value) that came with each figure."""
    figures: dict[str, set[str]] = {}

    def take(body: bytes) -> int:
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
            for figure in (figure for scope in resource.scope_metrics for figure in scope.metrics):
                points = getattr(figure, figure.WhichOneof("data")).data_points
                told = (f"{one.key}={one.value.string_value}" for point in points for one in point.attributes)
                figures.setdefault(figure.name, set()).update(told)
        return 200

    with _posted(take) as address:
        yield address, figures


@contextmanager
def _posted(take: Callable[[bytes], int]) -> Iterator[str]:
    """The address of a server that answers each body posted with the status that `take` gives."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            unpacked = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
            self.send_response(take(unpacked))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def page(html: str) -> Iterator[str]:
    """The address of a site with one page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: object) -> None:
            pass

    with _serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def mailbox() -> Iterator[tuple[int, list[str]]]:
    """The port of a mail server without encryption, and the mails it got."""
    mails: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.wfile.write(b"220 mailbox\r\n")
            while line := self.rfile.readline():
                word = line[:4].upper()
                if word == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = iter(self.rfile.readline, b".\r\n")
                    mails.append(b"".join(lines).decode())
                self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")

    with _serving(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        yield port, mails


@contextmanager
def _serving(server: socketserver.TCPServer) -> Iterator[int]:
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
