"""Traces of requests for an OpenTelemetry collector (OTLP over HTTP), with the spans that TGI has.

A request's spans are made when it is over, of the times that were noted, and sent by a thread of the library: a
collector that is slow, hangs or is not there loses spans, and nothing else.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from llamakit.errors import UsageError
from llamakit.server.operations.record import Generated, RequestRecord

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span, Tracer

SERVICE = "llamakit.server"
SECONDS_TO_SEND = 5


class Tracing:
    """Raises UsageError where the extra `telemetry` is not installed."""

    def __init__(self, endpoint: str, service_name: str = SERVICE) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            raise UsageError("traces need the extra: pip install 'llamakit[telemetry]'") from None
        path = "" if endpoint.rstrip("/").endswith("/v1/traces") else "/v1/traces"
        exporter = OTLPSpanExporter(endpoint=endpoint.rstrip("/") + path, timeout=SECONDS_TO_SEND)
        self._provider = TracerProvider(resource=Resource.create({"service.name": service_name}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("llamakit")

    def observe(self, record: RequestRecord) -> None:
        """A request is over; those that did not generate leave no trace."""
        for stream in record.streams:
            write_spans(self._tracer, record, stream)

    def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        self._provider.shutdown()


def write_spans(tracer: Tracer, record: RequestRecord, stream: Generated) -> None:
    from opentelemetry.trace import set_span_in_context
    from opentelemetry.trace.status import Status, StatusCode

    usage, clock = stream.usage, WallClock()
    name = "generate_stream" if record.is_stream else "generate"
    root = tracer.start_span(name, parent_of(record), start_time=clock.at(record.begun))
    inside = set_span_in_context(root)
    ended = usage.ended or record.ended
    phases = [
        ("validate", record.begun, usage.submitted),
        ("queue", usage.submitted, usage.started or ended),
        ("prefill", usage.started, usage.first_drawn or ended),
        ("decode", usage.first_drawn, ended),
    ]
    for phase, begin, end in phases:
        if begin:
            tracer.start_span(phase, inside, start_time=clock.at(begin)).end(clock.at(end))
    set_attributes(root, record, stream)
    if not 200 <= record.status < 400:
        root.set_status(Status(StatusCode.ERROR))
    root.end(clock.at(record.ended))


def set_attributes(span: Span, record: RequestRecord, stream: Generated) -> None:
    """TGI's; times in seconds. The prompt and the answer are not among them."""
    usage, sampling = stream.usage, stream.generation.sampling
    ended = usage.ended or record.ended
    span.set_attributes(
        {
            "parameters": repr(sampling),
            "seed": -1 if sampling.seed is None else sampling.seed,
            "total_time": record.ended - record.begun,
            "validation_time": usage.submitted - record.begun,
            "queue_time": (usage.started or ended) - usage.submitted,
            "inference_time": ended - usage.started if usage.started else 0.0,
            "time_per_token": (ended - usage.started) / usage.n_drawn if usage.started and usage.n_drawn else 0.0,
            "prompt_tokens": usage.n_prompt,
            "completion_tokens": usage.n_drawn,
        }
    )


def parent_of(record: RequestRecord) -> Context | None:
    """The span of the caller's that the W3C header names, if it has sent one that makes sense."""
    if record.traceparent is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": record.traceparent})


class WallClock:
    """Times of `time.perf_counter` as nanoseconds since 1970."""

    def __init__(self) -> None:
        self._offset = time.time() - time.perf_counter()

    def at(self, moment: float) -> int:
        return int((moment + self._offset) * 1e9)
