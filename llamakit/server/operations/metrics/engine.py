"""The engine's own figures, under llama-server's names (prefix `llamacpp:`), TGI's (`tgi_`) and ours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from llamakit.core.engine.scheduler.distribution import SECONDS, SIZES, Distribution
from llamakit.server.operations.metrics.families import Family, Spread, counter, gauge


@dataclass(frozen=True)
class EngineFigures:
    """Counted since the engine was started, and as it is now (those from n_running on). Times in seconds."""

    n_prompt: int = 0  # tokens computed of prompts
    n_cached: int = 0  # tokens of prompts that were in the cache
    n_drawn: int = 0
    prompt_seconds: float = 0.0
    decode_seconds: float = 0.0
    n_steps: int = 0  # batches computed
    n_busy: int = 0  # sequences of these batches, all in all
    n_failed_prefills: int = 0  # batches that went wrong, with tokens of prompts
    n_failed_decodes: int = 0  # and without
    prefill_steps: Distribution = field(default_factory=lambda: Distribution(SECONDS))
    decode_steps: Distribution = field(default_factory=lambda: Distribution(SECONDS))
    forwards: Distribution = field(default_factory=lambda: Distribution(SECONDS))  # the model's share of each
    draws: Distribution = field(default_factory=lambda: Distribution(SECONDS))  # and all else
    sizes: Distribution = field(default_factory=lambda: Distribution(SIZES))  # sequences in each
    n_tokens_max: int = 0  # most tokens that a sequence ever had
    n_drafts: int = 0
    n_drafted: int = 0
    n_accepted: int = 0
    n_accepted_at: tuple[int, ...] = ()  # by their place in the draft
    n_restarts: int = 0
    n_running: int = 0
    n_waiting: int = 0
    n_blocks: int = 0  # of the KV cache
    n_blocks_free: int = 0
    n_tokens_held: int = 0  # by the sequences that run
    step_age: float = 0.0  # how long the present step lasts


def batch_families(now: EngineFigures) -> Iterable[Family | Spread]:
    """TGI's of batches: one with tokens of prompts is a prefill, whatever else is in it."""
    steps = {"prefill": now.prefill_steps, "decode": now.decode_steps}
    good = {method: float(part.n) for method, part in steps.items()}
    bad = {"prefill": float(now.n_failed_prefills), "decode": float(now.n_failed_decodes)}
    begun = {method: good[method] + bad[method] for method in steps}
    yield Family("tgi_batch_inference_count", "counter", "Batches begun", begun, "method")
    yield Family("tgi_batch_inference_success", "counter", "Batches computed", good, "method")
    yield Family("tgi_batch_inference_failure", "counter", "Batches that went wrong", bad, "method")
    yield Spread("tgi_batch_inference_duration", "Seconds of a batch", steps, "method")
    yield Spread("tgi_batch_forward_duration", "Seconds of a batch that the model takes", {"": now.forwards})
    yield Spread("tgi_batch_decode_duration", "Seconds of a batch that drawing and telling take", {"": now.draws})
    yield Spread("tgi_batch_next_size", "Sequences in a batch", {"": now.sizes})


def engine_families(now: EngineFigures) -> Iterable[Family | Spread]:
    yield counter("llamacpp:prompt_tokens_total", now.n_prompt, "Tokens of prompts that were computed")
    yield counter("llamacpp:prompt_tokens_cached_total", now.n_cached, "Tokens of prompts that were in the cache")
    yield counter("llamacpp:prompt_seconds_total", now.prompt_seconds, "Seconds spent on prompts")
    yield counter("llamacpp:tokens_predicted_total", now.n_drawn, "Tokens generated")
    yield counter("llamacpp:tokens_predicted_seconds_total", now.decode_seconds, "Seconds spent on generating")
    yield counter("llamacpp:n_decode_total", now.n_steps, "Batches computed")
    yield counter("llamacpp:n_tokens_max", now.n_tokens_max, "Most tokens that a sequence had")
    yield counter("llamacpp:spec_decode_num_drafts_total", now.n_drafts, "Drafts that were verified")
    yield counter("llamacpp:spec_decode_num_draft_tokens_total", now.n_drafted, "Tokens that were drafted")
    yield counter("llamacpp:spec_decode_num_accepted_tokens_total", now.n_accepted, "Drafted tokens that were right")
    yield by_place(
        "llamacpp:spec_decode_num_accepted_tokens_per_pos_total",
        now.n_accepted_at,
        "Drafted tokens that were right, by their place in the draft",
    )
    yield gauge("llamacpp:requests_processing", now.n_running, "Requests being served")
    yield gauge("llamacpp:requests_deferred", now.n_waiting, "Requests that wait")
    busy = now.n_busy / now.n_steps if now.n_steps else 0.0
    yield gauge("llamacpp:n_busy_slots_per_decode", busy, "Mean number of sequences in a batch")
    n_used = now.n_blocks - now.n_blocks_free
    share = n_used / now.n_blocks if now.n_blocks else 0.0
    yield gauge("llamacpp:kv_cache_usage_ratio", share, "Share of the KV cache's blocks that are in use")
    yield gauge("llamacpp:kv_cache_tokens", now.n_tokens_held, "Tokens of running sequences in the KV cache")
    yield gauge("tgi_batch_current_size", now.n_running, "Requests in the batch")
    yield gauge("tgi_batch_current_max_tokens", now.n_tokens_held, "Tokens in the batch")
    yield gauge("tgi_queue_size", now.n_waiting, "Requests that wait")
    yield from batch_families(now)
    yield gauge("llamakit_kv_blocks", now.n_blocks, "Blocks of the KV cache")
    yield gauge("llamakit_kv_blocks_free", now.n_blocks_free, "Blocks that nothing is in")
    yield gauge("llamakit_step_age_seconds", now.step_age, "How long the present step lasts; 0 while idle")
    yield counter("llamakit_engine_restarts_total", now.n_restarts, "Times the engine had to be started again")


def by_place(name: str, counts: Sequence[int], help: str) -> Family:
    return Family(name, "counter", help, {str(i): float(n) for i, n in enumerate(counts)}, "position")


def rates(then: EngineFigures, now: EngineFigures) -> Iterable[Family]:
    """Tokens a second since the last time, as llama-server has them."""
    if now.n_steps < then.n_steps:  # the engine is a new one
        then = EngineFigures()
    prompt = per_second(now.n_prompt - then.n_prompt, now.prompt_seconds - then.prompt_seconds)
    drawn = per_second(now.n_drawn - then.n_drawn, now.decode_seconds - then.decode_seconds)
    yield gauge("llamacpp:prompt_tokens_seconds", prompt, "Tokens of prompts a second, since the last scrape")
    yield gauge("llamacpp:predicted_tokens_seconds", drawn, "Tokens generated a second, since the last scrape")


def per_second(n: float, seconds: float) -> float:
    return n / seconds if seconds > 0 else 0.0
