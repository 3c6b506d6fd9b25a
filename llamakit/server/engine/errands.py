"""What else than tokens an engine can be asked for; each is a method of `Errands`, called in a thread of its own."""

from __future__ import annotations

import threading
from typing import Any

from llamakit.core.engine.pooling import Pooling
from llamakit.core.engine.scheduler import EmbeddingJob, EmbeddingRequest
from llamakit.core.engine.scheduler.scheduler import Scheduler
from llamakit.core.engine.scheduler.stats import SlotInfo
from llamakit.server.engine.generation import Tokens


class Errands:
    """`adapters` are the files of those that the scheduler knows by their indices."""

    NAMES = ("embed", "slots", "save_slot", "restore_slot", "erase_slot", "adapters", "set_adapters")

    def __init__(self, scheduler: Scheduler, pooling: Pooling | None, adapters: tuple[str, ...]) -> None:
        self.scheduler, self.pooling, self.files = scheduler, pooling, adapters

    def embed(self, given_up: threading.Event, texts: tuple[Tokens, ...], norm: int) -> list[Any]:
        """A vector of each text. When nobody wants them any more, those left are not computed."""
        jobs: list[EmbeddingJob] = []
        try:
            for text in texts:
                jobs.append(self.scheduler.submit_embedding(EmbeddingRequest(text, self.pooling, norm)))
            vectors = []
            for job in jobs:
                if given_up.is_set():
                    break
                vectors.append(job.vector())
            return vectors
        finally:
            for job in jobs:
                job.cancel()

    def slots(self, _: threading.Event) -> list[dict[str, Any]]:
        return [told(info, self.scheduler.guesses) for info in self.scheduler.slots_info()]

    def save_slot(self, _: threading.Event, slot: int, path: str) -> tuple[int, int]:
        return self.scheduler.save_slot(slot, path)

    def restore_slot(self, _: threading.Event, slot: int, path: str) -> tuple[int, int]:
        return self.scheduler.restore_slot(slot, path)

    def erase_slot(self, _: threading.Event, slot: int) -> int:
        return self.scheduler.erase_slot(slot)

    def adapters(self, _: threading.Event) -> list[tuple[str, float]]:
        scales = dict(self.scheduler.adapter_scales)
        return [(file, scales.get(str(i), 0.0)) for i, file in enumerate(self.files)]

    def set_adapters(self, _: threading.Event, scales: tuple[tuple[int, float], ...]) -> None:
        self.scheduler.set_adapter_scales({str(i): scale for i, scale in scales})


def told(slot: SlotInfo, guesses: bool) -> dict[str, Any]:
    """As llama-server says it; `tag` is the id of the stream it serves."""
    is_processing = slot.state != "IDLE"
    return {
        "id": slot.slot,
        "id_task": -1 if slot.job is None else slot.job,
        "n_ctx": slot.n_ctx,
        "tag": slot.tag,
        "speculative": guesses,
        "is_processing": is_processing,
        "n_prompt_tokens": slot.n_prompt,
        "n_prompt_tokens_processed": slot.n_prefilled - slot.n_cached,
        "n_prompt_tokens_cache": slot.n_cached,
        "next_token": [
            {
                "has_next_token": is_processing,
                "has_new_line": slot.has_new_line,
                "n_remain": max(slot.n_predict - slot.n_drawn, -1) if is_processing and slot.n_predict >= 0 else -1,
                "n_decoded": slot.n_drawn if is_processing else 0,
            }
        ],
    }
