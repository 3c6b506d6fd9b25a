from __future__ import annotations

from dataclasses import dataclass

import pytest

pytest.importorskip("prometheus_client")
from prometheus_client.parser import text_string_to_metric_families

from llamakit.core.engine.generate import Finish
from llamakit.core.engine.scheduler import Cancelled, Ended, Event, Failed
from llamakit.core.engine.scheduler.distribution import SECONDS, SIZES, Distribution
from llamakit.core.engine.scheduler.job import Usage
from llamakit.server.engine.generation import Generation
from llamakit.server.operations.metrics import Metrics
from llamakit.server.operations.metrics.engine import EngineFigures
from llamakit.server.operations.record import RequestRecord


@dataclass
class Said:
    generation: Generation
    usage: Usage
    end: Event | None


def said(end: Event | None = None, n_drawn: int = 5) -> Said:
    usage = Usage(7, n_drawn=n_drawn, submitted=1.1, started=1.2, first_drawn=1.3, ended=1.7)
    return Said(Generation((1,) * 7, n_predict=8), usage, end or Ended(Finish.LENGTH))


def record(status: int = 200, *streams: Said, path: str = "/completion") -> RequestRecord:
    return RequestRecord(
        "POST", f"/llm{path}", path, begun=1.0, validated=1.1, status=status, ended=2.0, streams=list(streams)
    )


def values(text: bytes) -> dict[str, float]:
    """Every figure by its name with its labels, after a look whether Prometheus could read them."""
    assert list(text_string_to_metric_families(text.decode()))
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(lambda: EngineFigures(n_prompt=10, n_drawn=6, prompt_seconds=2.0, n_steps=4, n_busy=6), 4096)


def test_the_engines_figures_are_there_under_llama_servers_names_and_types(metrics: Metrics) -> None:
    text = metrics.text()
    found = values(text)
    assert found["llamacpp:prompt_tokens_total"] == 10
    assert found["llamacpp:prompt_tokens_seconds"] == 5
    assert found["llamacpp:n_busy_slots_per_decode"] == 1.5
    assert b"# TYPE llamacpp:n_tokens_max counter\n" in text
    assert values(metrics.text())["llamacpp:prompt_tokens_seconds"] == 0  # nothing since


def test_batches_are_measured_by_what_they_are_for() -> None:
    decodes, sizes = Distribution(SECONDS), Distribution(SIZES)
    for seconds, size in ((0.001, 1), (0.002, 3), (1e9, 4)):
        decodes.add(seconds)
        sizes.add(size)
    now = EngineFigures(decode_steps=decodes, sizes=sizes, n_failed_decodes=2, n_failed_prefills=1)
    found = values(Metrics(lambda: now, 4096).text())
    counts = {"count": (1, 5), "success": (0, 3), "failure": (1, 2)}
    for kind, (n_prefill, n_decode) in counts.items():
        assert found[f'tgi_batch_inference_{kind}{{method="prefill"}}'] == n_prefill
        assert found[f'tgi_batch_inference_{kind}{{method="decode"}}'] == n_decode
    duration = "tgi_batch_inference_duration"
    assert found[f'{duration}_bucket{{method="decode",le="{SECONDS[-1]}"}}'] == 2
    assert (
        found[f'{duration}_bucket{{method="decode",le="+Inf"}}'] == found[f'{duration}_count{{method="decode"}}'] == 3
    )
    assert found[f'{duration}_count{{method="prefill"}}'] == 0
    assert found['tgi_batch_next_size_bucket{le="1.0"}'] == 1 and found["tgi_batch_next_size_sum"] == 8
    assert {"tgi_batch_forward_duration_count", "tgi_batch_decode_duration_count"} <= found.keys()


def test_guesses_that_were_right_are_counted_by_their_places() -> None:
    found = values(Metrics(lambda: EngineFigures(n_accepted=5, n_accepted_at=(4, 1)), 4096).text())
    name = "llamacpp:spec_decode_num_accepted_tokens_per_pos_total"
    assert [found[f'{name}{{position="{i}"}}'] for i in range(2)] == [4, 1]


def test_every_request_is_counted_in_one_place(metrics: Metrics) -> None:
    requests = [
        record(200, said()), record(200, said(), said()), record(400), record(422, path="/generate"), record(429),
        record(503), record(200, said(Failed(ValueError("x")))), record(500), record(0, said(Cancelled())),
        record(499, said()), record(401),
    ]  # fmt: skip
    for request in requests:
        metrics.observe(request)
    found = values(metrics.text())
    failures = {
        name: found[f'tgi_request_failure{{err="{name}"}}']
        for name in ("validation", "overloaded", "generation", "incomplete")
    }
    assert failures == {"validation": 3, "overloaded": 2, "generation": 2, "incomplete": 2}
    assert found["tgi_request_success"] == 2
    assert found["tgi_request_count"] == len(requests)


def test_the_times_of_a_request_are_in_tgis_histograms(metrics: Metrics) -> None:
    metrics.observe(record(200, said()))
    found = values(metrics.text())
    for name, seconds in {
        "": 1.0,
        "validation_": 0.1,
        "queue_": 0.1,
        "inference_": 0.5,
        "mean_time_per_token_": 0.1,
    }.items():
        assert found[f"tgi_request_{name}duration_sum"] == pytest.approx(seconds)
    assert found["tgi_request_generated_tokens_sum"] == 5
    assert found["tgi_request_max_new_tokens_sum"] == 8


def test_a_request_that_was_cancelled_is_in_them_up_to_its_end(metrics: Metrics) -> None:
    stream = said(n_drawn=5)
    stream.end, stream.usage.ended = None, 0.0  # the engine has not told yet
    metrics.observe(record(499, stream))
    never = said(n_drawn=0)
    never.end, never.usage = None, Usage(7, submitted=1.1)  # it had to wait until its client left
    metrics.observe(record(0, never))
    found = values(metrics.text())
    assert (found["tgi_request_generated_tokens_sum"], found["tgi_request_generated_tokens_count"]) == (5, 2)
    assert found["tgi_request_inference_duration_sum"] == pytest.approx(0.8)
    assert found["tgi_request_inference_duration_count"] == 1


def test_fault_86_what_clients_choose_makes_no_labels(metrics: Metrics) -> None:
    metrics.observe(record(200, said()))
    before = set(values(metrics.text()))
    for i in range(200):
        metrics.observe(record(404, path=f"/v1/models/{i}"))
        metrics.observe(record(400, path="/completion"))
    assert set(values(metrics.text())) == before


@pytest.mark.parametrize("route", ["/v1/engines/copilot-codex/completions", "/vertex", "/v1/messages", "/"])
def test_requests_that_are_refused_are_counted_whatever_their_api(metrics: Metrics, route: str) -> None:
    metrics.observe(record(400, path=route))
    assert values(metrics.text())["tgi_request_count"] == 1


def test_requests_that_ask_for_no_tokens_are_not_counted(metrics: Metrics) -> None:
    metrics.observe(record(200, path="/tokenize"))
    assert values(metrics.text())["tgi_request_count"] == 0
