"""The vocabulary of a file: tables that fit together, ids that are tokens, a template that can be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from llamakit.core.gguf.values import Value
from llamakit.core.vocab.base import KINDS, read_vocab
from llamakit.core.vocab.golden_strings import TEXTS_KEY, disagreements
from llamakit.core.vocab.special import find_special
from llamakit.core.vocab.tokens import TokenTable, read_merges, read_tokens
from llamakit.errors import VocabError
from llamakit.tools.gguf_verify.finding import Finding, Level

TOKENS, KIND, MERGES = "tokenizer.ggml.tokens", "tokenizer.ggml.model", "tokenizer.ggml.merges"
NO_VOCABULARY = (None, "none", "no_vocab")


def check_vocabulary(path: Path, metadata: Mapping[str, Value], n_rows: int | None) -> Iterator[Finding]:
    """Faults of the `tokenizer.*` keys; `n_rows` is how many tokens the embedding table has room for, if there is one.

    A file without a vocabulary is none the worse for it: adapters, shards and projectors have none.
    """

    def wrong(key: str, message: str, level: Level = Level.ERROR) -> Finding:
        return Finding(level, path, message, key=key)

    kind = metadata.get(KIND)
    if TOKENS not in metadata:
        if kind not in NO_VOCABULARY:
            yield wrong(TOKENS, f"is missing, though the tokenizer is {kind!r:.80}")
        return
    if not isinstance(kind, str):
        yield wrong(KIND, "must name the kind of tokenizer, as there are tokens")
    try:
        tokens = read_tokens(metadata)
        find_special(metadata, tokens, {})
        if kind in KINDS:
            for message in disagreements(read_vocab(metadata), metadata):
                yield wrong(TEXTS_KEY, message)
    except VocabError as error:
        yield wrong(TOKENS, str(error))
        return
    if kind not in KINDS and isinstance(kind, str):
        yield wrong(KIND, f"{kind!r:.80} is not known here: only its tables were looked at", Level.NOTE)
    if n_rows is not None and len(tokens.texts) > n_rows:
        yield wrong(TOKENS, f"{len(tokens.texts)} tokens, but token_embd.weight has only {n_rows} rows")
    n_twice = len(tokens.texts) - len(tokens.ids)
    if n_twice:
        yield wrong(TOKENS, f"{n_twice} tokens have the text of another", Level.WARNING)
    if MERGES in metadata and kind == "gpt2":
        absent = absent_merges(read_merges(metadata), tokens)
        if absent:
            message = f"{len(absent)} merges name texts that are no tokens, the first is {absent[0]!r:.60}"
            yield wrong(MERGES, message, Level.WARNING)


def absent_merges(merges: list[str], tokens: TokenTable) -> list[str]:
    """Merges with a part, or a result, that is no token."""
    ids = tokens.ids
    absent = []
    for merge in merges:
        at = merge.index(" ", 1)  # a part may begin with a space
        left, right = merge[:at], merge[at + 1 :]
        if left not in ids or right not in ids or left + right not in ids:
            absent.append(merge)
    return absent
