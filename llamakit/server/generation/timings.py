"""How many tokens an answer cost, and how long they took."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from llamakit.core.engine.scheduler.job import Usage


def timings(usage: Usage) -> dict[str, Any]:
    """llama-server's figures of one answer: milliseconds, and tokens a second. Of one that goes on, up to now."""
    now = time.perf_counter()
    begun = usage.started or usage.submitted
    drawing = usage.first_drawn or usage.ended or now
    n_read = usage.n_prompt - usage.n_cached
    figures = {
        "cache_n": usage.n_cached,
        **pace("prompt", n_read, drawing - begun),
        **pace("predicted", usage.n_drawn, (usage.ended or now) - drawing, n_free=1),
    }
    if usage.n_drafted:
        figures |= {"draft_n": usage.n_drafted, "draft_n_accepted": usage.n_accepted}
    return figures


def pace(name: str, n: int, seconds: float, n_free: int = 0) -> dict[str, Any]:
    """The first `n_free` tokens cost no step: logits of a prompt give the first one."""
    ms, n_steps = max(seconds, 0.0) * 1e3, max(n - n_free, 0)
    return {
        f"{name}_n": n,
        f"{name}_ms": ms,
        f"{name}_per_token_ms": ms / n_steps if n_steps else 0.0,
        f"{name}_per_second": n_steps / ms * 1e3 if ms else 0.0,
    }


def progress(usage: Usage, n_done: int) -> dict[str, Any]:
    """llama-server's prompt_progress: how far a prompt of `n_done` tokens in the cache has come."""
    begun = usage.started or usage.submitted
    ms = int((time.perf_counter() - begun) * 1e3)
    return {"total": usage.n_prompt, "cache": usage.n_cached, "processed": n_done, "time_ms": ms}


def progresses(usage: Usage, n_done: int, is_first: bool) -> list[dict[str, Any]]:
    """The same, and at first where it began."""
    begun = [progress(usage, usage.n_cached)] if is_first and n_done > usage.n_cached else []
    return [*begun, progress(usage, n_done)]


def token_counts(usages: Sequence[Usage]) -> dict[str, Any]:
    """OpenAI's `usage` of some answers to one prompt; why not more of it was in the cache is ours."""
    first = usages[0]
    n_drawn = sum(usage.n_drawn for usage in usages)
    details: dict[str, Any] = {"cached_tokens": first.n_cached}
    if first.miss_reason:
        details["miss_reason"] = first.miss_reason
    return {
        "prompt_tokens": first.n_prompt,
        "completion_tokens": n_drawn,
        "total_tokens": first.n_prompt + n_drawn,
        "prompt_tokens_details": details,
    }


def summed(counts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The `usage` of several prompts."""
    if len(counts) == 1:
        return counts[0]
    total = {name: sum(c[name] for c in counts) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    cached = sum(c["prompt_tokens_details"]["cached_tokens"] for c in counts)
    return {**total, "prompt_tokens_details": {"cached_tokens": cached}}
