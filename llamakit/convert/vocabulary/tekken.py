"""Mistral's tekken.json as the tokenizer.json that it would be.

A list of tokens by rank, each with its bytes; the smaller the rank, the sooner two parts become it. Tokens for control
go before them, so the id of a token is its rank plus their number. Source of the layout: mistral-common.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llamakit.convert.checkpoint import read_json
from llamakit.core.vocab.letters import LETTERS
from llamakit.errors import VocabError

N_BYTES = 256  # the first tokens: a byte each
# Of files that list none, up to version 7.
_CONTROL = (
    "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]", "[SUFFIX]",
    "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]",
)  # fmt: skip


def read_tekken(path: Path) -> dict[str, Any]:
    """What tokenizer.json would say. Raises VocabError for a file whose parts do not fit together."""
    parsed = read_json(path)
    config = parsed.get("config")
    config = config if isinstance(config, dict) else {}
    n_vocab, n_control = config.get("default_vocab_size"), config.get("default_num_special_tokens")
    if type(n_vocab) is not int or type(n_control) is not int or not N_BYTES <= n_vocab - n_control <= n_vocab:
        raise VocabError(f"{path}: config tells no sound numbers of tokens")
    ranks = _ranks(path, parsed.get("vocab"), n_vocab - n_control)
    spelt = {raw: "".join(LETTERS[byte] for byte in raw) for raw in ranks}
    split = {"type": "Split", "pattern": {"Regex": config.get("pattern")}, "behavior": "Isolated", "invert": False}
    spell = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": False}
    return {
        "version": "1.0",
        "added_tokens": list(_control(path, parsed.get("special_tokens"), n_control)),
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, spell]},
        "model": {
            "type": "BPE",
            "ignore_merges": True,
            "vocab": {spelt[raw]: n_control + rank for raw, rank in ranks.items()},
            "merges": [[spelt[left], spelt[right]] for left, right in _merges(ranks)],
        },
    }


def version_of(path: Path) -> str:
    """The version of the format of prompts, such as "v7"; "" where the file does not say."""
    config = read_json(path).get("config")
    version = config.get("version") if isinstance(config, dict) else None
    return version if isinstance(version, str) else ""


def _ranks(path: Path, vocab: Any, n: int) -> dict[bytes, int]:
    """The bytes of the first `n` tokens, in order of rank."""
    if not isinstance(vocab, list) or len(vocab) < n:
        raise VocabError(f"{path}: vocab is no list of {n} tokens")
    try:
        ranks = {base64.b64decode(entry["token_bytes"], validate=True): entry["rank"] for entry in vocab[:n]}
    except (KeyError, TypeError, binascii.Error, ValueError):
        raise VocabError(f"{path}: a token of vocab has no rank, or no token_bytes in base 64") from None
    if list(ranks.values()) != list(range(n)) or not all(bytes([byte]) in ranks for byte in range(N_BYTES)):
        raise VocabError(f"{path}: the tokens of vocab are not in order of rank, or some bytes are missing")
    return ranks


def _control(path: Path, given: Any, n: int) -> Iterator[dict[str, Any]]:
    texts = list(_CONTROL)
    if given is not None:
        if not isinstance(given, list) or not all(isinstance(entry, dict) for entry in given):
            raise VocabError(f"{path}: special_tokens is no list of tokens")
        texts = [entry.get("token_str") for entry in given]
    if len(texts) > n or not all(isinstance(text, str) and text for text in texts):
        raise VocabError(f"{path}: special_tokens are more than {n}, or one has no text")
    for i, text in enumerate(texts + [f"<SPECIAL_{i}>" for i in range(len(texts), n)]):
        flags = {"special": True, "normalized": False, "single_word": False, "lstrip": False, "rstrip": False}
        yield {"id": i, "content": text, **flags}


def _merges(ranks: dict[bytes, int]) -> Iterator[tuple[bytes, bytes]]:
    """All pairs of tokens that make a token, by the rank of what they make, then by their own."""
    for raw in ranks:
        pairs = [(raw[:i], raw[i:]) for i in range(1, len(raw)) if raw[:i] in ranks and raw[i:] in ranks]
        yield from sorted(pairs, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))
