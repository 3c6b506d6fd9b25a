"""A file's vocabulary, of whatever kind: `tokenizer.ggml.model` and what hangs on it.

The rarer kinds are imported where a file has them, so that the others start sooner.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from llamakit.core.vocab.bpe import BPE
from llamakit.core.vocab.eog import end_of_generation
from llamakit.core.vocab.golden_strings import TEXTS_KEY, disagreements
from llamakit.core.vocab.pretokenizers import REGEX_KEY, SplitRule, own_rule, split_rule
from llamakit.core.vocab.special import Partition, SpecialIds, find_special, strip_rules
from llamakit.core.vocab.spm import SPM
from llamakit.core.vocab.tokens import MERGES_KEY, TokenTable, TokenType, ids_of_types, read_merges, read_tokens
from llamakit.core.vocab.vocabulary import Around, Engine, Frame, Vocab
from llamakit.errors import VocabError

__all__ = ["KINDS", "Vocab", "load_vocab", "read_vocab"]

log = logging.getLogger(__name__)

_BYTE_TEXT = re.compile("<0x[0-9A-Fa-f]{2}>")
_MAX_EMPTY = 1 << 24  # tokens without a text

_BARE = Frame(
    add_bos=False, add_eos=False, add_sep=False, add_space_prefix=False, clean_spaces=False, around=Around.NOTHING
)
# Kind -> the ids of special tokens and what is put around a text, where no key of the file tells them.
_KINDS: Mapping[str, tuple[Mapping[str, int], Frame]] = {
    "llama": (
        {"bos": 1, "eos": 2, "unk": 0},
        replace(_BARE, add_bos=True, add_space_prefix=True, around=Around.FLAGS),
    ),
    "bert": (
        {"bos": 101, "unk": 100, "sep": 102, "pad": 0, "mask": 103},
        replace(_BARE, add_bos=True, add_sep=True, clean_spaces=True, around=Around.ALWAYS),
    ),
    "t5": ({"eos": 1, "unk": 2, "pad": 0}, replace(_BARE, add_eos=True, around=Around.FLAGS)),
    "rwkv": ({}, _BARE),
    "plamo2": ({"bos": 1, "eos": 2, "unk": 0, "pad": 3}, _BARE),
    "test": ({}, _BARE),
}
_BPE = ("gpt2", "gemma4", "hybriddna", "whitespace")
_NONE = ("none", "no_vocab")
KINDS = (*_BPE, *_KINDS, *_NONE)


def load_vocab(metadata: Mapping[str, Any]) -> Vocab:
    """The vocabulary of a GGUF file's metadata (keys to native Python values), held against its golden strings.

    Where it gives them other ids than the model's own tokenizer, a warning says so: an emoji that is cut in another way
    is no reason not to run a model. `llamakit gguf verify` takes it for an error. Raises VocabError for a kind of
    tokenizer that is not known, and for tables that do not fit together.
    """
    vocab = read_vocab(metadata)
    if TEXTS_KEY in metadata:
        wrong = list(disagreements(vocab, metadata))
        if wrong:
            log.warning(
                "the vocabulary does not cut texts as the model was trained on, convert it anew: %s%s",
                wrong[0],
                f" (and {len(wrong) - 1} more; `llamakit gguf verify` lists them)" if wrong[1:] else "",
            )
    return vocab


def read_vocab(metadata: Mapping[str, Any]) -> Vocab:
    """The same without golden strings."""
    kind = metadata.get("tokenizer.ggml.model", "none")
    if kind not in KINDS:
        raise VocabError(f"tokenizer kind {str(kind)[:80]!r} is not supported; supported are {', '.join(KINDS)}")
    if kind in _NONE:
        return _load_none(metadata)
    tokens = read_tokens(metadata)
    if kind in _BPE:
        return _load_bpe(kind, metadata, tokens)
    defaults, frame = _KINDS[kind]
    if kind in ("rwkv", "plamo2", "test"):
        tokens = _all_with_texts(kind, tokens)
    special, overrides = find_special(metadata, tokens, defaults)
    frame = _as_keys_say(metadata, frame)
    engine = _engine(kind, metadata, tokens, special, frame)
    shown = [f"{i:x}" for i in range(len(tokens.texts))] if kind == "test" else tokens.texts
    return _assemble(kind, metadata, tokens, special, overrides, frame, engine, shown)


def _engine(kind: str, metadata: Mapping[str, Any], tokens: TokenTable, special: SpecialIds, frame: Frame) -> Engine:
    if kind == "llama":
        return SPM(tokens, add_space_prefix=frame.add_space_prefix, unk=special.unk)
    if kind == "bert":
        from llamakit.core.vocab.wpm import WPM

        lowercase = _flag(metadata, "normalizer.lowercase", True)
        strip_accents = _flag(metadata, "normalizer.strip_accents", lowercase)
        return WPM(tokens, unk=special.unk, lowercase=lowercase, strip_accents=strip_accents)
    if kind == "t5":
        from llamakit.core.vocab.charsmap import read_charsmap
        from llamakit.core.vocab.ugm import UGM

        return UGM(
            tokens,
            read_charsmap(metadata),
            unk=special.unk,
            add_space_prefix=frame.add_space_prefix,
            merge_spaces=_flag(metadata, "remove_extra_whitespaces", False),
        )
    if kind == "rwkv":
        from llamakit.core.vocab.rwkv import RWKV

        return RWKV(tokens, unk=special.unk)
    if kind == "plamo2":
        from llamakit.core.vocab.plamo2 import PLaMo2

        return PLaMo2(tokens)
    from llamakit.core.vocab.toy import Hashes

    return Hashes(len(tokens.texts))


def _all_with_texts(kind: str, tokens: TokenTable) -> TokenTable:
    """For kinds whose tokens all stand for a text, whatever their type."""
    blank = (TokenType.UNDEFINED, TokenType.UNUSED)
    types = bytearray(TokenType.NORMAL if token_type in blank else token_type for token_type in tokens.types)
    tokens = replace(tokens, types=types)
    if kind == "rwkv":
        from llamakit.core.vocab.rwkv import unescaped

        return unescaped(tokens)
    return tokens


def _load_bpe(kind: str, metadata: Mapping[str, Any], tokens: TokenTable) -> Vocab:
    rule, pre = _split_rule(kind, metadata)
    defaults = {} if kind == "gemma4" else {"bos": 11, "eos": 11} if rule.has_bos else {"eos": 11}
    special, overrides = find_special(metadata, tokens, defaults)
    frame = replace(
        _BARE, add_bos=rule.add_bos, add_sep=rule.add_sep, clean_spaces=rule.clean_spaces, around=Around.FLAGS
    )
    frame = _as_keys_say(metadata, frame)
    if rule.always_bos and not frame.add_bos:
        log.warning("the file says that no BOS is added, but models with the pre-tokenizer %r need it: added", pre)
        frame = replace(frame, add_bos=True)
    merges = [] if pre == "kimi-k2" and MERGES_KEY not in metadata else read_merges(metadata)
    bpe = BPE(tokens, merges, rule)
    engine: Engine = bpe
    shown = tokens.texts
    if kind == "hybriddna":
        from llamakit.core.vocab.bpe_kinds import DNA, without_markers

        engine, shown = DNA(bpe, tokens.ids), without_markers(tokens)
    elif kind == "whitespace":
        from llamakit.core.vocab.bpe_kinds import Words

        engine = Words(bpe, lowercase=_flag(metadata, "normalizer.lowercase", pre != "whitespace"))
    return _assemble(kind, metadata, tokens, special, overrides, frame, engine, shown)


def _split_rule(kind: str, metadata: Mapping[str, Any]) -> tuple[SplitRule, str]:
    """The splitting rule, and the name of the pre-tokenizer."""
    pre = metadata.get("tokenizer.ggml.pre")
    if kind == "gemma4":
        pre = "gemma4"
    if REGEX_KEY in metadata:
        return own_rule(metadata, str(pre)), str(pre)
    if pre is None:
        log.warning(
            "the file names no pre-tokenizer: the default rules may cut text in ways the model was not trained on"
        )
        pre = "default"
    return split_rule(str(pre)), str(pre)


def _load_none(metadata: Mapping[str, Any]) -> Vocab:
    """Tokens without a text, as many as `<architecture>.vocab_size` says."""
    from llamakit.core.vocab.toy import NoText, empty_tokens

    key = f"{metadata.get('general.architecture', '')}.vocab_size"
    n_vocab = metadata.get(key, 0)
    if not isinstance(n_vocab, int) or not 0 <= n_vocab <= _MAX_EMPTY:
        raise VocabError(f"{key} is {n_vocab!r:.40}, not a number of tokens")
    tokens = empty_tokens(n_vocab)
    partition = Partition(tokens.texts, tokens.types)
    return Vocab("none", tokens, SpecialIds(), _BARE, NoText(), partition, eog_ids=frozenset(), shown_ids=frozenset())


def _assemble(
    kind: str,
    metadata: Mapping[str, Any],
    tokens: TokenTable,
    special: SpecialIds,
    overrides: dict[int, TokenType],
    frame: Frame,
    engine: Engine,
    shown: list[str],
) -> Vocab:
    """`shown` are the texts of tokens, where these are not what a text is searched for."""
    eog_ids, shown_ids, eog_overrides = end_of_generation(tokens, special)
    for token, token_type in (_bad_bytes(tokens) | overrides | eog_overrides).items():
        tokens.types[token] = token_type
    partition = Partition(tokens.texts, tokens.types, *strip_rules(metadata, tokens))
    suppressed_ids = _suppressed(metadata, len(tokens.texts))
    return Vocab(
        kind,
        replace(tokens, texts=shown),
        special,
        frame,
        engine,
        partition,
        eog_ids=eog_ids,
        shown_ids=shown_ids,
        suppressed_ids=suppressed_ids,
    )


def _bad_bytes(tokens: TokenTable) -> dict[int, TokenType]:
    """Byte tokens whose text is no byte, to be read as normal ones."""
    byte_tokens = ids_of_types(tokens.types, TokenType.BYTE)
    bad = {token: TokenType.NORMAL for token in byte_tokens if not _BYTE_TEXT.fullmatch(tokens.texts[token])}
    for token in bad:
        log.warning("token %d is marked as a byte, but its text is %r", token, tokens.texts[token][:40])
    return bad


def _suppressed(metadata: Mapping[str, Any], n_vocab: int) -> frozenset[int]:
    key = "tokenizer.ggml.suppress_tokens"
    value = metadata.get(key, [])
    if not isinstance(value, list) or not all(type(token) is int for token in value):
        raise VocabError(f"{key} must be an array of token ids")
    return frozenset(token for token in value if 0 <= token < n_vocab)


def _as_keys_say(metadata: Mapping[str, Any], frame: Frame) -> Frame:
    return replace(
        frame,
        add_bos=_flag(metadata, "add_bos_token", frame.add_bos),
        add_eos=_flag(metadata, "add_eos_token", frame.add_eos),
        add_sep=_flag(metadata, "add_sep_token", frame.add_sep),
        add_space_prefix=_flag(metadata, "add_space_prefix", frame.add_space_prefix),
    )


def _flag(metadata: Mapping[str, Any], name: str, default: bool) -> bool:
    value = metadata.get(f"tokenizer.ggml.{name}", default)
    if not isinstance(value, bool):
        raise VocabError(f"tokenizer.ggml.{name} must be a boolean, not {type(value).__name__}")
    return value
