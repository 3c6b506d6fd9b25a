"""What older programs take from `llama_cpp._internals` to sample with: candidates, and what was drawn."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from llamakit.compat.c_api.types import llama_token_data, llama_token_data_array
from llamakit.compat.contexts import LlamaContext
from llamakit.errors import UsageError

ENTRY = np.dtype([("id", np.intc), ("logit", np.float32), ("p", np.float32)], align=True)


class LlamaTokenDataArray:
    """A row for each token; `candidates` is llama.cpp's structure over the same memory."""

    def __init__(self, *, n_vocab: int) -> None:
        self.n_vocab = n_vocab
        self.candidates_data = np.zeros(n_vocab, ENTRY).view(np.recarray)
        self.candidates_data["id"] = np.arange(n_vocab)
        data = self.candidates_data.ctypes.data_as(ctypes.POINTER(llama_token_data))
        self.candidates = llama_token_data_array(data=data, size=n_vocab, selected=-1)

    def copy_logits(self, logits: npt.ArrayLike) -> None:
        """Begin anew with the logits of all tokens.   (n_vocab,)"""
        data: Any = self.candidates_data
        data["id"], data["logit"], data["p"] = np.arange(self.n_vocab), logits, 0
        self.candidates.size, self.candidates.selected, self.candidates.sorted = self.n_vocab, -1, False


def normalize_embedding(embedding: Any) -> Any:
    """A list of the numbers divided by their length; zeros stay as they are."""
    norm = float(np.linalg.norm(embedding))
    return [value / norm for value in embedding] if norm else embedding


@dataclass
class LlamaSamplingParams:
    n_prev: int = 64
    n_probs: int = 0
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    tfs_z: float = 1.0
    typical_p: float = 1.0
    temp: float = 0.8
    penalty_last_n: int = 64
    penalty_repeat: float = 1.0
    penalty_freq: float = 0.0
    penalty_present: float = 0.0
    mirostat: int = 0
    mirostat_tau: float = 5.0
    mirostat_eta: float = 0.1
    penalize_nl: bool = True
    grammar: str = ""
    cfg_negative_prompt: str = ""
    cfg_scale: float = 1.0
    logit_bias: dict[int, float] = field(default_factory=dict)


@dataclass
class LlamaSamplingContext:
    """The tokens that were drawn; drawing itself is `LlamaSampler`'s, in llama-cpp-python too."""

    params: LlamaSamplingParams = field(default_factory=LlamaSamplingParams)
    mirostat_mu: ctypes.c_float = field(default_factory=ctypes.c_float)
    grammar: Any = None
    prev: list[int] = field(default_factory=list)
    cur: list[Any] = field(default_factory=list)

    def reset(self) -> None:
        self.prev, self.cur = [], []

    def cp(self) -> LlamaSamplingContext:
        return replace(self, prev=self.prev.copy(), cur=self.cur.copy())

    def last(self) -> int | None:
        return self.prev[-1] if self.prev else None

    def prev_str(self, ctx_main: LlamaContext, n: int) -> str:
        """The text of the last n."""
        return ctx_main.model.detokenize(self.prev[-n:] if n else []).decode("utf-8", "replace")

    def accept(self, ctx_main: LlamaContext, id: int, apply_grammar: bool) -> None:
        self.prev.append(id)

    def sample(self, ctx_main: LlamaContext, idx: int = 0, logits_array: Any = None) -> int:
        """Raises UsageError."""
        raise UsageError("LlamaSamplingContext.sample: draw with LlamaSampler")
