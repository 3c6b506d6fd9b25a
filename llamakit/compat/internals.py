"""Stands for `llama_cpp._internals`: a model, a context and batches, as programs below `Llama` use them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llamakit.api.options import cache_type, metadata_as_text, rope_overrides
from llamakit.compat.constants import ENUMS
from llamakit.compat.params import ContextParams, ModelParams
from llamakit.core.engine.context import Chunk, Context
from llamakit.core.engine.load import Model, load_model
from llamakit.core.vocab.vocabulary import Vocab
from llamakit.errors import LlamakitError

VOCAB_TYPES = {"none": "NONE", "no_vocab": "NONE", "llama": "SPM", "bert": "WPM", "t5": "UGM", "rwkv": "RWKV",
               "plamo2": "PLAMO2"}  # fmt: skip
BATCH_DOES_NOT_FIT = -1  # what llama_decode returns for positions that do not go on
CACHE_IS_FULL = 1


def id_or_minus_one(token: int | None) -> int:
    return -1 if token is None else token


def or_usual(value: float, usual: float) -> float:
    """llama.cpp has -1 for the model's own."""
    return value if value >= 0 else usual


class LlamaModel:
    """An open file; `close` closes its contexts too. Raises ValueError for one that is missing or damaged."""

    def __init__(self, *, path_model: str, params: ModelParams, verbose: bool = True) -> None:
        self._exit_stack = ExitStack()
        self.path_model, self.params, self.verbose = path_model, params, verbose
        if not Path(path_model).exists():
            raise ValueError(f"Model path does not exist: {path_model}")
        try:
            model = load_model(path_model, dict(params.kv_overrides), params.use_mmap)
        except LlamakitError as error:
            raise ValueError(f"Failed to load model from file: {error}") from None
        self.model: Model | None = self._exit_stack.enter_context(model)
        self.vocab: Vocab = model.vocab
        self.metadata_as_text = metadata_as_text(model.metadata)

    @property
    def opened(self) -> Model:
        if self.model is None:
            raise ValueError(f"the model is closed: {self.path_model}")
        return self.model

    def close(self) -> None:
        self._exit_stack.close()
        self.model = None

    def vocab_type(self) -> int:
        return ENUMS["VOCAB_TYPE"][VOCAB_TYPES.get(self.vocab.kind, "BPE")]

    def n_vocab(self) -> int:
        return self.vocab.n_tokens

    def n_ctx_train(self) -> int:
        return self.opened.n_ctx_train

    def n_embd(self) -> int:
        return self.opened.hparams.n_embd

    def desc(self) -> str:
        return self.opened.description

    def size(self) -> int:
        """Bytes of all tensors."""
        return self.opened.n_bytes

    def n_params(self) -> int:
        return self.opened.n_params

    def metadata(self) -> dict[str, str]:
        return self.metadata_as_text

    def token_get_text(self, token: int) -> str:
        return self.vocab.texts[token]

    def token_get_score(self, token: int) -> float:
        return float(self.vocab.scores[token])

    def token_get_attr(self, token: int) -> int:
        """The bit of its type, as in llama.h."""
        return 1 << (int(self.vocab.types[token]) - 1)

    def token_bos(self) -> int:
        return id_or_minus_one(self.vocab.bos_id)

    def token_eos(self) -> int:
        return id_or_minus_one(self.vocab.eos_id)

    def token_eot(self) -> int:
        return id_or_minus_one(self.vocab.eot_id)

    def token_sep(self) -> int:
        return id_or_minus_one(self.vocab.sep_id)

    token_cls = token_bos  # BERT's [CLS] stands where others have a BOS

    def token_nl(self) -> int:
        return id_or_minus_one(self.vocab.newline_id)

    def token_prefix(self) -> int:
        return id_or_minus_one(self.vocab.special.fim_pre)

    def token_middle(self) -> int:
        return id_or_minus_one(self.vocab.special.fim_mid)

    def token_suffix(self) -> int:
        return id_or_minus_one(self.vocab.special.fim_suf)

    def add_bos_token(self) -> bool:
        return self.vocab.add_bos

    def add_eos_token(self) -> bool:
        return self.vocab.add_eos

    def tokenize(self, text: bytes, add_bos: bool, special: bool) -> list[int]:
        return self.vocab.encode(text, add_special=add_bos, parse_special=special)

    def token_to_piece(self, token: int, special: bool = False) -> bytes:
        return self.vocab.piece(token, special=special)

    def detokenize(self, tokens: list[int], special: bool = False) -> bytes:
        text = b"".join(self.vocab.piece(token, special=special) for token in tokens)
        return text.removeprefix(b" ") if tokens and tokens[0] == self.token_bos() else text

    @staticmethod
    def default_params() -> ModelParams:
        return ModelParams()


@dataclass(frozen=True)
class Row:
    """A token of a batch."""

    token: int
    position: int
    seq: int
    has_logits: bool


class LlamaBatch:
    """Tokens to compute, each with its position in its sequence."""

    def __init__(self, *, n_tokens: int, embd: int, n_seq_max: int, verbose: bool = True) -> None:
        if embd:
            raise ValueError("batches of vectors in place of tokens are not computed here: embd must be 0")
        self.n_tokens_max, self.n_seq_max, self.verbose = n_tokens, n_seq_max, verbose
        self.rows: list[Row] = []

    def n_tokens(self) -> int:
        return len(self.rows)

    def reset(self) -> None:
        self.rows.clear()

    def set_batch(self, batch: Sequence[int], n_past: int, logits_all: bool) -> None:
        """These of sequence 0 alone, from a position on."""
        self.reset()
        self._add(batch, n_past, 0, logits_all)

    def add_sequence(self, batch: Sequence[int], seq_id: int, logits_all: bool) -> None:
        """Those of a sequence from its beginning, beside what is there."""
        self._add(batch, 0, seq_id, logits_all)

    def _add(self, tokens: Sequence[int], first: int, seq: int, logits_all: bool) -> None:
        if len(self.rows) + len(tokens) > self.n_tokens_max:
            raise ValueError(f"the batch has room for {self.n_tokens_max} tokens, not {len(self.rows) + len(tokens)}")
        last = len(tokens) - 1
        self.rows += [Row(token, first + i, seq, logits_all or i == last) for i, token in enumerate(tokens)]

    def close(self) -> None:
        self.reset()


class LlamaContext:
    """A model at work; `ctx` is the engine's context, None when closed.

    Raises ValueError where the context cannot be made: parameters out of range, too little memory.
    """

    def __init__(self, *, model: LlamaModel, params: ContextParams, verbose: bool = True) -> None:
        self.model, self.params, self.verbose = model, params, verbose
        self._rows: dict[int, npt.NDArray[np.float32]] = {}  # logits by their place in the last batch
        self._n_rows = 0
        self._exit_stack = ExitStack()
        self.ctx: Context | None = None
        try:
            self.ctx = self._exit_stack.enter_context(self._open())
        except LlamakitError as error:
            raise ValueError(f"Failed to create llama_context: {error}") from None
        model._exit_stack.callback(self.close)

    def _open(self) -> Context:
        p, opened = self.params, self.model.opened
        changed = rope_overrides(
            self.model.path_model, p.rope_scaling_type, p.rope_freq_base, p.rope_freq_scale, p.yarn_ext_factor,
            or_usual(p.yarn_attn_factor, 1.0), or_usual(p.yarn_beta_fast, 32.0), or_usual(p.yarn_beta_slow, 1.0),
            p.yarn_orig_ctx,
        )  # fmt: skip
        if changed:
            overrides = {**self.model.params.kv_overrides, **changed}
            opened = self._exit_stack.enter_context(load_model(self.model.path_model, overrides))
        return Context(
            opened, n_ctx=-(-p.n_ctx // 256) * 256,  # in llama.cpp too, contexts are of so many
            n_batch=p.n_batch, n_ubatch=p.n_ubatch, n_threads=p.n_threads or None,
            n_threads_batch=p.n_threads_batch or None, type_k=cache_type(int(p.type_k)),
            type_v=cache_type(int(p.type_v)), n_seq_max=p.n_seq_max,
        )  # fmt: skip

    @property
    def opened(self) -> Context:
        if self.ctx is None:
            raise ValueError("the context is closed")
        return self.ctx

    def close(self) -> None:
        self._exit_stack.close()
        self.ctx = None

    def n_ctx(self) -> int:
        return self.opened.n_ctx

    def pooling_type(self) -> int:
        return self.params.pooling_type

    def decode(self, batch: LlamaBatch) -> None:
        """Compute a batch. Raises RuntimeError with llama_decode's number where it does not fit."""
        context = self.opened
        by_seq: dict[int, list[tuple[int, Row]]] = {}
        for i, row in enumerate(batch.rows):
            by_seq.setdefault(row.seq, []).append((i, row))
        for seq, rows in by_seq.items():
            first = context.n_past(seq) if 0 <= seq < self.params.n_seq_max else -1
            if [row.position for _, row in rows] != [*range(first, first + len(rows))]:
                raise RuntimeError(f"llama_decode returned {BATCH_DOES_NOT_FIT}")
        chunks, places = [], []
        for seq, rows in by_seq.items():
            wanted = [k for k, (_, row) in enumerate(rows) if row.has_logits]
            chunks.append(Chunk([row.token for _, row in rows], seq, range(wanted[0], len(rows))))
            places += [i for i, _ in rows[wanted[0] :]]
        try:
            logits = context.decode(chunks)
        except LlamakitError as error:
            raise RuntimeError(f"llama_decode returned {CACHE_IS_FULL}: {error}") from None
        self._rows = {i: row for i, row in zip(places, logits, strict=True) if batch.rows[i].has_logits}
        self._n_rows = len(batch.rows)

    def logits_of(self, i: int) -> npt.NDArray[np.float32]:
        """Those of a batch's token, by its place in it; -1 is the last.   -> (n_vocab,)   Raises IndexError."""
        place = i + self._n_rows if i < 0 else i
        if place not in self._rows:
            raise IndexError(f"token {i} of the last batch has no logits")
        return self._rows[place]

    def get_logits_ith(self, i: int) -> Any:
        """A pointer to float, as ctypes has them."""
        return self.logits_of(i).ctypes.data_as(ctypes.POINTER(ctypes.c_float))

    def get_logits(self) -> Any:
        """A pointer to the rows of all tokens that have logits, one behind the other."""
        rows = np.ascontiguousarray([self._rows[i] for i in sorted(self._rows)])
        return rows.ctypes.data_as(ctypes.POINTER(ctypes.c_float))

    def set_n_threads(self, n_threads: int, n_threads_batch: int) -> None:
        """Not more than the context was made with."""
        context = self.opened
        most = context.executor.n_threads
        context.n_threads, context.n_threads_batch = min(n_threads, most), min(n_threads_batch, most)

    def kv_cache_clear(self) -> None:
        self.opened.cache.clear()

    def kv_cache_seq_rm(self, seq_id: int, p0: int, p1: int) -> bool:
        """Forget a sequence from p0 on. False, and nothing is done, where positions behind p1 would stay."""
        context, seq = self.opened, max(seq_id, 0)
        n_past = context.n_past(seq)
        if 0 <= p1 < n_past:
            return False
        return context.truncate(min(max(p0, 0), n_past), seq) == min(max(p0, 0), n_past)

    def kv_cache_seq_cp(self, seq_id_src: int, seq_id_dst: int, p0: int, p1: int) -> None:
        """Let one sequence begin as another. Raises ValueError unless from its first position on."""
        if p0 > 0:
            raise ValueError(f"a sequence begins as another from position 0 on, not from {p0}")
        self.opened.cache.fork(seq_id_src, seq_id_dst, p1 if p1 >= 0 else None)

    def kv_cache_seq_keep(self, seq_id: int) -> None:
        for seq in range(self.params.n_seq_max):
            if seq != seq_id:
                self.opened.truncate(0, seq)

    def get_state_size(self) -> int:
        return len(self.opened.save_state())

    @staticmethod
    def default_params() -> ContextParams:
        return ContextParams()
