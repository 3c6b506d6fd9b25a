"""Golden strings: a few texts in the file with the ids that the model's own tokenizer gave them when it was converted.

`convert-hf` writes them; reading them back takes a millisecond or two, and tells a vocabulary that cuts texts in other
ways than the model was trained on. GGUF has no lists of lists, so the ids of all texts are one array, and a second one
says how many belong to each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from llamakit.errors import VocabError, printable

if TYPE_CHECKING:
    from llamakit.core.vocab.vocabulary import Vocab

TEXTS_KEY = "llamakit.golden.texts"
IDS_KEY = "llamakit.golden.ids"
COUNTS_KEY = "llamakit.golden.counts"
MOST_TEXTS, MOST_LETTERS = 32, 4096  # more are not read: opening a file must not take long
_SHOWN = 8  # ids of a text in a message


def golden_keys(texts: Sequence[str], ids: Sequence[Sequence[int]]) -> dict[str, Any]:
    """Keys of a file for texts and the ids of each, without BOS and EOS."""
    flat = [token for tokens in ids for token in tokens]
    return {TEXTS_KEY: list(texts), COUNTS_KEY: list(map(len, ids)), IDS_KEY: flat} if flat else {}


def disagreements(vocab: Vocab, metadata: Mapping[str, Any]) -> Iterator[str]:
    """What a file's golden strings say against its vocabulary, a sentence each; nothing where there are none."""
    texts, counts, ids = (metadata.get(key, []) for key in (TEXTS_KEY, COUNTS_KEY, IDS_KEY))
    if not texts and not counts and not ids:
        return
    if not _is_list(texts, str) or not _is_list(counts, int) or not _is_list(ids, int):
        yield f"{TEXTS_KEY}, {COUNTS_KEY} and {IDS_KEY} are not lists of texts and numbers"
        return
    if len(texts) != len(counts) or min(counts) < 0 or sum(counts) != len(ids):
        yield f"{len(texts)} golden texts, {len(counts)} counts and {len(ids)} ids do not fit together"
        return
    if len(texts) > MOST_TEXTS or sum(map(len, texts)) > MOST_LETTERS:
        yield f"the golden strings are more than {MOST_TEXTS} texts or {MOST_LETTERS} letters: not looked at"
        return
    for text, end, count in zip(texts, accumulate(counts), counts, strict=True):
        wanted = ids[end - count : end]
        try:
            found = vocab.encode(text, add_special=False, parse_special=True)
        except VocabError as error:  # a splitting rule that gives up
            yield printable(f"{text!r:.80}: {error}")
            continue
        if found != wanted:
            first = next((i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), len(found))
            here, there = _shown(found, first), _shown(wanted, first)
            yield printable(f"{text!r:.80} has the ids {here} here, {there} in the model's tokenizer")


def _is_list(value: object, kind: type) -> bool:
    return isinstance(value, list) and all(type(item) is kind for item in value)


def _shown(ids: list[int], first: int) -> str:
    """Ids around the first that differs."""
    start = max(0, first - 2)
    before, after = "..., " if start else "", ", ..." if len(ids) > start + _SHOWN else ""
    return f"[{before}{str(ids[start : start + _SHOWN])[1:-1]}{after}]"
