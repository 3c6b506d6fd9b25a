"""How much a request of text-generation-inference's API may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import Request

    from llamakit.server.models.served import Served


@dataclass(frozen=True)
class GenerateLimits:
    """The launcher's options, by their names."""

    max_best_of: int = 2
    max_stop_sequences: int = 4
    max_top_n_tokens: int = 5
    max_input_tokens: int | None = None  # None: one less than may be in all
    max_total_tokens: int | None = None  # of input and answer; None: the context
    max_client_batch_size: int = 4
    validation_workers: int = 2
    has_grammar: bool = True
    watermark_gamma: float = 0.5
    watermark_delta: float = 2.0
    model_id: str | None = None  # None: the model's name

    def total_tokens(self, served: Served) -> int:
        n_ctx = served.info.n_ctx
        return n_ctx if self.max_total_tokens is None else min(self.max_total_tokens, n_ctx)

    def input_tokens(self, served: Served) -> int:
        most = self.total_tokens(served) - 1
        return most if self.max_input_tokens is None else min(self.max_input_tokens, most)


def limits_of(request: Request) -> GenerateLimits:
    limits: GenerateLimits = request.app.state.settings.generate
    return limits
