"""`Llama`: a model under llama-cpp-python's names, so that programs written for it run here."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamakit.api.completion import create_completion
from llamakit.api.options import cache_type, metadata_as_text, rope_overrides
from llamakit.api.tokens import TokenApi
from llamakit.core.engine.context import Context
from llamakit.core.engine.load import load_model
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.sampling.params import RANDOM_SEED
from llamakit.core.vocab.base import Vocab, load_vocab

if TYPE_CHECKING:
    from llamakit.core.grammar.grammar import Grammar
    from llamakit.core.sampling.chain import Constraint


class Llama(TokenApi):
    """A model, its vocabulary, and one sequence of tokens that grows by `eval` and `generate` (see `TokenApi`).

    n_ctx 0 is the trained context length. type_k and type_v are the KV cache's types, by name ("f16", "q8_0") or as a
    ggml type id. kv_overrides replaces metadata by full keys. With vocab_only, only `tokenize` and `detokenize` work.
    rope_* and yarn_* replace the model's own rotation. What speaks of GPUs, memory locks and the like is accepted and
    changes nothing: n_gpu_layers, split_mode, main_gpu, tensor_split, use_mlock, offload_kqv, flash_attn, op_offload,
    swa_full, no_perf, numa.

    Raises GGUFError for a damaged or missing file, ModelError for one that does not fit this machine or no known
    architecture, UsageError for arguments out of range.
    """

    def __init__(
        self,
        model_path: str | Path,
        *,
        n_gpu_layers: int = 0,
        split_mode: int = 1,
        main_gpu: int = 0,
        tensor_split: Sequence[float] | None = None,
        vocab_only: bool = False,
        use_mmap: bool = True,
        use_mlock: bool = False,
        kv_overrides: Mapping[str, bool | int | float | str] | None = None,
        seed: int = RANDOM_SEED,
        n_ctx: int = 512,
        n_batch: int = 512,
        n_ubatch: int = 512,
        n_threads: int | None = None,
        n_threads_batch: int | None = None,
        rope_scaling_type: int | None = -1,
        rope_freq_base: float = 0.0,
        rope_freq_scale: float = 0.0,
        yarn_ext_factor: float = -1.0,
        yarn_attn_factor: float = 1.0,
        yarn_beta_fast: float = 32.0,
        yarn_beta_slow: float = 1.0,
        yarn_orig_ctx: int = 0,
        logits_all: bool = False,
        offload_kqv: bool = True,
        flash_attn: bool = False,
        op_offload: bool | None = None,
        swa_full: bool | None = None,
        no_perf: bool = False,
        last_n_tokens_size: int = 64,
        numa: bool | int = False,
        type_k: int | str | None = None,
        type_v: int | str | None = None,
        verbose: bool = True,
    ) -> None:
        self.model_path, self.verbose = str(model_path), verbose
        opened = ExitStack()
        self._close = weakref.finalize(self, opened.close)  # runs when nobody uses this any more, at exit at the latest
        overrides: dict[str, Any] = dict(kv_overrides or {})
        context: Context | None = None
        if vocab_only:
            reader = opened.enter_context(GGUFReader(model_path, use_mmap=use_mmap))
            values: Mapping[str, Any] = {**reader.metadata, **overrides}
            self._vocab: Vocab | None = load_vocab(values)
            n_vocab, self._n_embd = self._vocab.n_tokens, n_embd_of(values)
        else:
            overrides |= rope_overrides(
                model_path, rope_scaling_type, rope_freq_base, rope_freq_scale, yarn_ext_factor, yarn_attn_factor,
                yarn_beta_fast, yarn_beta_slow, yarn_orig_ctx,
            )  # fmt: skip
            self._model = opened.enter_context(load_model(model_path, overrides, use_mmap))
            self._vocab, reader = None, self._model.reader
            n_vocab, self._n_embd = self._model.n_vocab, self._model.hparams.n_embd
            context = Context(
                self._model, n_ctx=n_ctx, n_batch=n_batch, n_ubatch=n_ubatch, n_threads=n_threads,
                n_threads_batch=n_threads_batch, type_k=cache_type(type_k), type_v=cache_type(type_v),
                report=say_when_compiling() if verbose else None,
            )  # fmt: skip
            opened.enter_context(context)
            n_ctx = context.n_ctx
        super().__init__(context, n_ctx, n_vocab, seed, logits_all, last_n_tokens_size)
        self.metadata = metadata_as_text(reader.metadata)
        self.n_batch = min(n_batch, n_ctx)
        if verbose and context:
            print(describe(context), file=sys.stderr)

    # text
    @property
    def vocab(self) -> Vocab:
        """Raises VocabError when the model has none that is known: token ids still work."""
        return self._vocab or self._model.vocab

    def tokenize(self, text: bytes, add_bos: bool = True, special: bool = False) -> list[int]:
        """Ids. add_bos puts the model's BOS (and EOS) around them, special reads texts of control tokens as such."""
        return self.vocab.encode(text, add_special=add_bos, parse_special=special)

    def detokenize(
        self, tokens: Sequence[int], prev_tokens: Sequence[int] | None = None, special: bool = False
    ) -> bytes:
        """The bytes of tokens, joined; control tokens have some only with `special`.

        A space right behind a leading BOS is dropped: encoding put it there. `prev_tokens` are not needed: a token's
        bytes do not depend on those before it.
        """
        text = b"".join(self.vocab.piece(token, special=special) for token in tokens)
        return text.removeprefix(b" ") if len(tokens) and tokens[0] == self.token_bos() else text

    def n_embd(self) -> int:
        return self._n_embd

    def token_bos(self) -> int:
        """The id of BOS; -1 where there is none."""
        return or_minus_one(self.vocab.bos_id)

    def token_eos(self) -> int:
        """The id of EOS; -1 where there is none."""
        return or_minus_one(self.vocab.eos_id)

    def token_nl(self) -> int:
        """The id of a line's end; -1 where there is none."""
        return ([-1, *self.vocab.encode("\n", add_special=False)])[-1]

    def _constraint(self, grammar: Grammar | Constraint | None) -> Constraint | None:
        from llamakit.core.grammar.grammar import Grammar

        return grammar.matcher(self.vocab) if isinstance(grammar, Grammar) else grammar

    # completion
    def create_completion(
        self, prompt: str | Sequence[int], **options: Any
    ) -> dict[str, Any] | Iterator[dict[str, Any]]:
        """Complete a text; see `completion.create_completion` for the options."""
        return create_completion(self, prompt, **options)

    __call__ = create_completion

    def close(self) -> None:
        """Give back memory and threads; text can still be turned into tokens and back."""
        self._close()
        self._context = None

    def __enter__(self) -> Llama:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def or_minus_one(token: int | None) -> int:
    return -1 if token is None else token


def n_embd_of(metadata: Mapping[str, Any]) -> int:
    """Of a file that may hold a vocabulary only; 0 where it does not say."""
    return int(metadata.get(f"{metadata.get('general.architecture')}.embedding_length", 0))


def describe(context: Context) -> str:
    model, cache = context.model, context.cache
    return (
        f"llamakit: {model.description}, {model.n_bytes / 2**20:.0f} MiB, n_ctx {context.n_ctx} "
        f"(K {cache.type_k.name}, V {cache.type_v.name}), {context.n_threads} threads"
    )


def say_when_compiling() -> Callable[[str, int, int], None]:
    def report(stage: str, done: int, total: int) -> None:
        if stage == "compile" and done == 1:
            print("llamakit: compiling kernels for this machine, once", file=sys.stderr)

    return report
