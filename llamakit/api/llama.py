"""`Llama`: a model under llama-cpp-python's names, so that programs written for it run here."""

from __future__ import annotations

import inspect
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llamakit.api.cache import begin_with, keep
from llamakit.api.completion import create_completion, following_seed
from llamakit.api.drafts import guesser_of
from llamakit.api.embedding import create_embedding, embed, parse_pooling, pooling_name
from llamakit.api.options import cache_type, check_options, is_causal, metadata_as_text, n_embd_of, rope_overrides
from llamakit.api.parameters import Later, takes_behind_second
from llamakit.api.reports import describe, say_when_compiling
from llamakit.api.said import Sayer, begun
from llamakit.api.shared import CLOSED, SharedContext
from llamakit.api.tokenizers import LlamaTokenizer
from llamakit.api.tokens import TokenApi, Watched, or_minus_one
from llamakit.core.engine.context import Context
from llamakit.core.engine.load import Model, load_model
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.sampling.params import RANDOM_SEED
from llamakit.core.vocab.base import Vocab, load_vocab
from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.api.cache import BaseLlamaCache
    from llamakit.api.chat import create_chat_completion as chat_function
    from llamakit.api.completion import Wanted
    from llamakit.api.drafts import LlamaDraftModel
    from llamakit.api.embedding import Vector
    from llamakit.api.looking import LlamaProfile
    from llamakit.api.tokenizers import BaseLlamaTokenizer
    from llamakit.core.chat.template import ChatTemplate
    from llamakit.core.engine.trace import Hook, Trace
    from llamakit.core.grammar.grammar import Grammar
    from llamakit.core.sampling.chain import Constraint
else:
    chat_function = Later("llamakit.api.chat", "create_chat_completion")

PARALLEL = 16  # texts that are computed together, at most


class Llama(TokenApi):
    """A model, its vocabulary, and one sequence of tokens that grows by `eval` and `generate` (see `TokenApi`).

    Any thread may call anything: completions, chats and embeddings of many threads are computed together (n_parallel of
    them at once; the others wait), and each gets what it would get alone. They share n_ctx positions, of which each may
    have all that are free. What works token by token waits until no other is computing.

    n_ctx 0 is the trained context length. type_k and type_v are the KV cache's types, by name ("f16", "q8_0") or as a
    ggml type id. kv_overrides replaces metadata by full keys. With vocab_only, only `tokenize` and `detokenize` work.
    rope_* and yarn_* replace the model's own rotation. With embedding, texts become vectors (`embed`), pooled as
    pooling_type says. lora_path is a GGUF adapter, used at lora_scale. draft_model guesses tokens, which changes no
    answer. attention_type 0 or 1 lets tokens see earlier ones alone, or later ones too. With profile, the time of
    each op is kept (see `profile`). What speaks of GPUs, memory locks and the like changes nothing, and verbose says
    so: n_gpu_layers, split_mode, main_gpu, tensor_split, use_mlock, offload_kqv, flash_attn, op_offload, swa_full,
    no_perf, numa.

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
        pooling_type: int = -1,
        attention_type: int = -1,
        rope_freq_base: float = 0.0,
        rope_freq_scale: float = 0.0,
        yarn_ext_factor: float = -1.0,
        yarn_attn_factor: float = 1.0,
        yarn_beta_fast: float = 32.0,
        yarn_beta_slow: float = 1.0,
        yarn_orig_ctx: int = 0,
        logits_all: bool = False,
        embedding: bool = False,
        offload_kqv: bool = True,
        flash_attn: bool = False,
        op_offload: bool | None = None,
        swa_full: bool | None = None,
        no_perf: bool = False,
        last_n_tokens_size: int = 64,
        lora_base: str | Path | None = None,
        lora_scale: float = 1.0,
        lora_path: str | Path | None = None,
        numa: bool | int = False,
        chat_format: str | None = None,
        chat_handler: Callable[..., Any] | None = None,
        draft_model: LlamaDraftModel | None = None,
        tokenizer: BaseLlamaTokenizer | None = None,
        type_k: int | str | None = None,
        type_v: int | str | None = None,
        spm_infill: bool = False,
        verbose: bool = True,
        n_parallel: int = PARALLEL,
        profile: bool = False,
    ) -> None:
        self._arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        check_options(self._arguments)
        self.model_path, self.verbose = str(model_path), verbose
        self.embedding, self.pooling, self.spm_infill = embedding, parse_pooling(pooling_type), spm_infill
        self.chat_format, self.chat_handler, self.draft_model = chat_format, chat_handler, draft_model
        self.cache: BaseLlamaCache | None = None
        self._template: ChatTemplate | None = None  # made when first needed
        self._tokenizer: BaseLlamaTokenizer | None = tokenizer
        self._profile: LlamaProfile | None = None
        if lora_base is not None:
            raise UsageError("lora_base: adapters are applied to the model itself; leave it out")
        opened = ExitStack()
        self._close = weakref.finalize(self, opened.close)  # runs when nobody uses this any more, at exit at the latest
        overrides: dict[str, Any] = dict(kv_overrides or {})
        shared: SharedContext | None = None
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
            model = self._loaded = opened.enter_context(load_model(model_path, overrides, use_mmap))
            self._vocab, reader = None, self._loaded.reader
            n_vocab, self._n_embd = self._loaded.n_vocab, self._loaded.hparams.n_embd
            decoder = self._loaded.decoder
            decoder.is_causal = is_causal(attention_type, decoder.is_causal)
            context = Context(
                self._loaded, n_ctx=n_ctx, n_batch=n_batch, n_ubatch=n_ubatch if decoder.is_causal else n_batch,
                n_threads=n_threads, n_threads_batch=n_threads_batch, type_k=cache_type(type_k),
                type_v=cache_type(type_v), n_seq_max=n_parallel, has_head=decoder.has_head,
                report=say_when_compiling() if verbose else None,
            )  # fmt: skip
            opened.enter_context(context)
            if profile:
                from llamakit.api.looking import LlamaProfile

                self._profile = opened.enter_context(LlamaProfile(context))
            n_ctx = context.n_ctx
            guesser = None if draft_model is None else partial(guesser_of, draft_model)
            shared = SharedContext(context, lambda: model.vocab, guesser)
            opened.callback(shared.close)
            if verbose:
                print(describe(context, self._arguments), file=sys.stderr)
        super().__init__(shared, n_ctx, n_vocab, seed, logits_all, last_n_tokens_size)
        self.metadata = metadata_as_text(reader.metadata)
        self.n_batch = min(n_batch, n_ctx)
        if lora_path is not None:
            self.add_lora(lora_path, lora_scale)

    @classmethod
    def from_pretrained(
        cls,
        repo_id: str,
        filename: str | None,
        additional_files: Sequence[str] | None = None,
        local_dir: str | Path | None = None,
        local_dir_use_symlinks: bool | str = "auto",
        cache_dir: str | Path | None = None,
        **options: Any,
    ) -> Llama:
        """A model of a Hugging Face repository, fetched if it is not here: file names may be patterns.

        It is kept in local_dir, or for its repository in cache_dir, else where all of llamakit's models are;
        local_dir_use_symlinks changes nothing. Other options are the constructor's. Raises UsageError, DownloadError.
        """
        from llamakit.api.pretrained import model_file

        return cls(model_file(repo_id, filename, additional_files, local_dir, cache_dir), **options)

    @property
    def model(self) -> Model:
        """The open file. Raises UsageError with vocab_only."""
        if self._shared is None:
            raise UsageError(CLOSED)
        return self._loaded

    def add_lora(self, path: str | Path, scale: float = 1.0) -> None:
        """Compute with an adapter from now on, beside those there are; again with another scale, 0 is without it.

        Raises GGUFError for a damaged file, ModelError for one that does not fit the model.
        """
        from llamakit.core.engine.adapters import load_adapter

        self.shared.add_adapter(str(path), load_adapter(path), scale)

    # text
    @property
    def vocab(self) -> Vocab:
        """Raises VocabError when the model has none that is known: token ids still work."""
        return self._vocab or self._loaded.vocab

    def tokenize(self, text: bytes, add_bos: bool = True, special: bool = False) -> list[int]:
        """Ids. add_bos puts the model's BOS (and EOS) around them, special reads texts of control tokens as such.

        By the `tokenizer` that was given, if one was: then prompts of completions are its too.
        """
        if self._tokenizer is not None:
            return self._tokenizer.tokenize(text, add_bos, special)
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

    @property
    def tokenizer_(self) -> BaseLlamaTokenizer:
        """The one that was given, else the model's own."""
        return self._tokenizer or LlamaTokenizer(self)  # made each time: kept, it would keep this alive

    def tokenizer(self) -> LlamaTokenizer:
        return LlamaTokenizer(self)

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

    def constraint(self, grammar: Grammar | Constraint | None) -> Constraint | None:
        from llamakit.core.grammar.grammar import Grammar

        if isinstance(grammar, Grammar):
            return grammar.matcher(self.vocab)
        if grammar is not None and not hasattr(grammar, "fill_mask"):
            raise UsageError(
                f"grammar is {grammar!r:.60}; it must be a LlamaGrammar: LlamaGrammar.from_string makes one"
            )
        return grammar

    # completions and vectors
    create_completion = __call__ = create_completion

    @takes_behind_second(chat_function)
    def create_chat_completion(self, messages: Sequence[Mapping[str, Any]], *arguments: Any, **options: Any) -> Any:
        """The assistant's next message, in OpenAI's shape: what `chat.create_chat_completion` takes but the template.

        `chat_handler`, or one that was registered under the name of `chat_format`, does it instead if there is any.
        """
        from llamakit.api.chat import create_chat_completion
        from llamakit.api.chat_formats import handler_of, template_of

        handler = self.chat_handler or handler_of(self.chat_format)
        if handler is not None:
            bound = inspect.signature(create_chat_completion).bind(self, None, messages, *arguments, **options)
            bound.apply_defaults()
            given = {name: value for name, value in bound.arguments.items() if name not in ("template", "variables")}
            return handler(**given, **bound.arguments["variables"])
        if self._template is None:
            self._template = template_of(self, self.chat_format)
        return create_chat_completion(self, self._template, messages, *arguments, **options)

    @takes_behind_second(chat_function)
    def create_chat_completion_openai_v1(self, *arguments: Any, **options: Any) -> Any:
        """The same as objects of the package `openai`. Raises UsageError where it is not installed."""
        try:
            from openai.types.chat import ChatCompletion, ChatCompletionChunk
        except ImportError:
            raise UsageError("create_chat_completion_openai_v1 needs the package openai: pip install openai") from None
        answer = self.create_chat_completion(*arguments, **options)
        if isinstance(answer, dict):
            return ChatCompletion(**answer)
        return (ChatCompletionChunk(**chunk) for chunk in answer)

    def say(self, wanted: Wanted) -> Sayer:
        """Let something be said, beside what others ask for. Raises UsageError, QueueFull."""
        self.shared.scheduler(self.input_ids[: self.n_tokens].tolist())
        if self.cache is not None and self._watched is not Watched.NOW:
            begin_with(self.cache, self, wanted.tokens)
        sayer = Sayer(self.shared.submit([wanted.request(self)])[0], self.vocab.eog_ids)
        sayer.when_said = self._is_said
        if (jobs := begun.get()) is not None:
            jobs.append(sayer)
        return sayer

    def _is_said(self, sayer: Sayer) -> None:
        if self.cache is not None and self._watched is not Watched.NOW:
            keep(self.cache, self, [*sayer.request.tokens, *sayer.drawn])
        self._take_over(sayer.seen)

    def next_seed(self) -> int:
        """The seed of a completion that has none of its own; the one after that gets another."""
        self.seed = following_seed(self.seed)
        return self.seed

    def create_embedding(self, input: str | Sequence[str], model: str | None = None) -> dict[str, Any]:
        """Vectors of texts in OpenAI's shape. Raises what `embed` does."""
        return create_embedding(self, [input] if isinstance(input, str) else input, model)

    def embed(
        self,
        input: str | Sequence[str],
        normalize: bool | int = False,
        truncate: bool = True,
        return_count: bool = False,
    ) -> Any:
        """A vector of a text, or a list of those of several; without pooling, of each of their tokens.

        normalize: True for length 1, or a kind of norm as `llamakit embed` has them. A text of more than n_batch tokens
        is cut, or with truncate=False refused. With return_count, the number of tokens too.
        """
        vectors, n_tokens = embed(self, [input] if isinstance(input, str) else input, normalize, truncate)
        found: Vector | list[Vector] = vectors[0] if isinstance(input, str) else vectors
        return (found, n_tokens) if return_count else found

    def pooling_type(self) -> str:
        return pooling_name(self)

    # what is kept
    def set_cache(self, cache: BaseLlamaCache | None) -> None:
        """Keep what completions computed in `cache` too (see `cache.py`)."""
        self.cache = cache

    def __getstate__(self) -> dict[str, Any]:
        return self._arguments

    def __setstate__(self, arguments: dict[str, Any]) -> None:
        type(self).__init__(self, **arguments)

    # looking inside
    def trace(self, *patterns: str, hooks: Mapping[str, Hook] | None = None) -> Trace:
        """Record values by name while the sequence is computed, and change them: see `core/engine/trace.py`.

            with llama.trace("blk.*.attn_out") as t:
                llama.eval(tokens)
            t["blk.3.attn_out"]

        All that this thread computes meanwhile is seen from its first token on, though it was computed before:
        `eval`, `generate`, completions. What others want waits until the trace ends. What hooks have changed is not
        used afterwards: `scores` and `sample` alone tell of it, until more is computed, and states that were saved
        meanwhile. A `cache` is not used. Traces cannot be nested.
        """
        from llamakit.api.looking import LlamaTrace

        return LlamaTrace(self, *patterns, hooks=hooks)

    @property
    def profile(self) -> LlamaProfile:
        """Where the time went, of all threads' calls. Raises UsageError without `profile=True`."""
        if self._profile is None:
            raise UsageError("nothing was timed: open the model with profile=True")
        return self._profile

    def logit_lens(self, states: Any) -> Any:
        """What a layer's output would say if it were the last.   float32 (n, n_embd) -> (n, n_vocab)"""
        from llamakit.core.engine.lens import logit_lens

        with self.alone() as context:
            return logit_lens(context, states)

    def close(self) -> None:
        """Give back memory and threads; text can still be turned into tokens and back."""
        self._close()
        self._shared = None

    def __enter__(self) -> Llama:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
