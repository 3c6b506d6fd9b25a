"""What is measured of each request, as distributions."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Histogram

from llamakit.core.engine.scheduler.distribution import SECONDS
from llamakit.server.operations.record import Generated, RequestRecord

N_STEPS = 100  # of a histogram of lengths


class Histograms:
    """TGI's of requests (prefix `tgi_`), and times as a reader feels them."""

    def __init__(self, registry: CollectorRegistry, n_ctx: int) -> None:
        def times(name: str, help: str) -> Histogram:
            return Histogram(name, help, registry=registry, buckets=SECONDS)

        def lengths(name: str, help: str) -> Histogram:
            return Histogram(name, help, registry=registry, buckets=steps(n_ctx))

        self.total = times("tgi_request_duration", "Seconds from a request to the end of its reply")
        self.validation = times("tgi_request_validation_duration", "Seconds until a request was found good")
        self.queue = times("tgi_request_queue_duration", "Seconds in the queue")
        self.inference = times("tgi_request_inference_duration", "Seconds from leaving the queue to the last token")
        self.per_token = times("tgi_request_mean_time_per_token_duration", "Mean seconds of a token after the first")
        self.n_prompt = lengths("tgi_request_input_length", "Tokens of prompts")
        self.n_asked = lengths("tgi_request_max_new_tokens", "Tokens asked for, where a number was")
        self.n_drawn = lengths("tgi_request_generated_tokens", "Tokens generated")
        self.n_guessed = lengths("tgi_request_skipped_tokens", "Tokens generated that had been guessed")
        self.first = times("llamakit_time_to_first_token_seconds", "Seconds from a request to its first token")

    def observe(self, record: RequestRecord) -> None:
        """A request that generated has ended."""
        self.total.observe(record.ended - record.begun)
        self.validation.observe(record.validated - record.begun)
        for stream in record.streams:
            self.observe_stream(stream, record)

    def observe_stream(self, stream: Generated, record: RequestRecord) -> None:
        """One whose client has gone may run yet: for its client it has ended."""
        usage, ended = stream.usage, stream.usage.ended or record.ended
        self.n_prompt.observe(usage.n_prompt)
        self.n_drawn.observe(usage.n_drawn)
        self.n_guessed.observe(usage.n_accepted)
        if stream.generation.n_predict >= 0:
            self.n_asked.observe(stream.generation.n_predict)
        if not usage.started:
            return
        self.queue.observe(usage.started - usage.submitted)
        self.inference.observe(ended - usage.started)
        if usage.first_drawn:
            self.first.observe(usage.first_drawn - record.begun)
        if usage.n_drawn > 1:
            self.per_token.observe((ended - usage.first_drawn) / (usage.n_drawn - 1))


def steps(n_max: int) -> list[float]:
    """Equal steps up to n_max; fewer where they would be shorter than one token."""
    return sorted({float(-(-n_max * i // N_STEPS)) for i in range(1, N_STEPS + 1)})
