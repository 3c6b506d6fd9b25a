from __future__ import annotations

import http.server
import socket
import threading
import time

import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from llamakit.server.operations.record import RequestRecord
from llamakit.server.operations.tracing import Tracing

from .test_metrics import said

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def request() -> RequestRecord:
    begun = time.perf_counter() - 1
    generated = said()
    usage = generated.usage
    usage.submitted, usage.started, usage.first_drawn, usage.ended = (begun + t for t in (0.1, 0.2, 0.3, 0.9))
    return RequestRecord(
        "POST", "/generate", "/generate", PARENT, begun, status=200, ended=begun + 1, streams=[generated]
    )


@pytest.fixture
def collector():
    """A collector that keeps what it gets."""
    bodies: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_request_leaves_tgis_spans_within_the_callers(collector) -> None:
    url, bodies = collector
    tracing = Tracing(url)
    tracing.observe(request())
    tracing.close()
    spans = [
        span
        for body in bodies
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]
    by_name = {span.name: span for span in spans}
    assert set(by_name) == {"generate", "validate", "queue", "prefill", "decode"}
    root = by_name["generate"]
    assert root.trace_id.hex() == PARENT.split("-")[1] and root.parent_span_id.hex() == PARENT.split("-")[2]
    assert all(span.parent_span_id == root.span_id for span in spans if span is not root)
    decode = by_name["decode"]
    assert (decode.end_time_unix_nano - decode.start_time_unix_nano) / 1e9 == pytest.approx(0.6, abs=1e-3)
    assert abs(root.end_time_unix_nano / 1e9 - time.time()) < 30
    assert "total_time" in {attribute.key for attribute in root.attributes}


def test_fault_87_a_collector_that_is_not_there_or_hangs_costs_requests_no_time() -> None:
    with socket.socket() as hanging:  # takes connections, and never answers
        hanging.bind(("127.0.0.1", 0))
        hanging.listen()
        for port in (hanging.getsockname()[1], 1):
            tracing = Tracing(f"http://127.0.0.1:{port}")
            begin = time.perf_counter()
            for _ in range(3000):  # more than the queue holds
                tracing.observe(request())
            assert time.perf_counter() - begin < 5
            threading.Thread(target=tracing.close, daemon=True).start()
