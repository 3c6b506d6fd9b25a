"""A model of one line for tests of what stands on the engine: bytes for tokens, a script for weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

N_BYTES = 256
BOS, EOS, N_VOCAB = 256, 257, 258
Logits = npt.NDArray[np.float32]


class ByteVocab:
    """Token b is byte b; BOS and EOS come after them."""

    eog_ids = frozenset({EOS})

    def __init__(self, add_bos: bool = True) -> None:
        self.add_bos = add_bos

    def encode(self, text: str | bytes, *, add_special: bool = True, parse_special: bool = False) -> list[int]:
        raw = text.encode() if isinstance(text, str) else text
        return [BOS] * (add_special and self.add_bos) + list(raw)

    def piece(self, token: int, *, special: bool = False) -> bytes:
        if token < N_BYTES:
            return bytes([token])
        return {BOS: b"<s>", EOS: b"</s>"}[token] if special else b""

    def is_eog(self, token: int) -> bool:
        return token in self.eog_ids


class FakeContext:
    """Wants to say the tokens of `script` one after the other, then EOS for ever, whatever it is told.

    Keeps the tokens it holds in `cells` and what was called in `calls`; `interrupt_at` is the step Ctrl-C comes in.
    """

    n_threads, n_batch, can_shift = 2, 512, True

    decoder_start = None

    def __init__(self, script: Sequence[int] = (), n_ctx: int = 64, interrupt_at: int | None = None) -> None:
        self.script, self.n_ctx, self.interrupt_at = list(script), n_ctx, interrupt_at
        self.cells: list[int] = []
        self.calls: list[tuple[str, int, int]] = []
        self.n_said = 0
        self.is_open = True
        self.model = FakeModel()

    def n_past(self, seq: int = 0) -> int:
        return len(self.cells)

    def n_ungrouped(self, seq: int = 0) -> int:
        return len(self.cells)

    def prefill(self, tokens: Sequence[int], seq: int = 0) -> Logits:
        return self.compute("prefill", tokens)

    def step(self, token: int, seq: int = 0) -> Logits:
        if self.n_said == self.interrupt_at:
            raise KeyboardInterrupt
        return self.compute("step", [token])

    def compute(self, call: str, tokens: Sequence[int]) -> Logits:
        assert self.is_open
        assert len(self.cells) + len(tokens) <= self.n_ctx, "more tokens than cells"
        self.calls.append((call, len(self.cells), len(tokens)))
        self.cells += tokens
        wanted = self.script[self.n_said] if self.n_said < len(self.script) else EOS
        self.n_said += 1
        logits = np.zeros(N_VOCAB, np.float32)
        logits[wanted] = 1
        return logits

    def truncate(self, n_past: int, seq: int = 0) -> int:
        self.calls.append(("truncate", n_past, 0))
        del self.cells[n_past:]
        return len(self.cells)

    def shift(self, n_keep: int, n_discard: int, seq: int = 0) -> None:
        self.calls.append(("shift", n_keep, n_discard))
        del self.cells[n_keep : n_keep + n_discard]

    def close(self) -> None:
        self.is_open = False


class FakeModel:
    """What a model file says of itself."""

    description = "fake 258 F32"
    metadata: Mapping[str, object] = {}
    n_vocab, n_ctx_train, n_params, n_bytes = N_VOCAB, 128, 1000, 4000
    n_bytes_per_token, n_flops_per_token = 4000, 2000

    def __init__(self) -> None:
        self.vocab = ByteVocab()
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


class GreedySampler:
    """The most likely token; remembers what it was told."""

    def __init__(self) -> None:
        self.prompt: list[int] = []
        self.accepted: list[int] = []

    def sample(self, logits: Logits) -> int:
        return int(np.argmax(logits))

    def accept(self, token: int) -> None:
        self.accepted.append(token)

    def accept_prompt(self, tokens: Sequence[int]) -> None:
        self.prompt += tokens


class FakeEngine:
    """Stands for `llamakit.core.engine`: remembers what was opened and how."""

    def __init__(self) -> None:
        self.script: list[int] = []
        self.interrupt_at: int | None = None
        self.models: list[FakeModel] = []
        self.contexts: list[FakeContext] = []
        self.asked: list[dict[str, object]] = []

    def load_model(self, path: str, overrides: object = None, use_mmap: bool = True) -> FakeModel:
        self.asked.append({"path": path, "overrides": overrides, "use_mmap": use_mmap})
        self.models.append(FakeModel())
        return self.models[-1]

    def context(self, model: FakeModel, *, n_ctx: int, **more: object) -> FakeContext:
        self.asked.append({"n_ctx": n_ctx, **more})
        self.contexts.append(FakeContext(self.script, n_ctx, self.interrupt_at))
        return self.contexts[-1]

    def is_closed(self) -> bool:
        return not any(thing.is_open for thing in [*self.models, *self.contexts])
