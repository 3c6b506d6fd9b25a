"""A folder's tokenizer as metadata of the GGUF file."""

from __future__ import annotations

from typing import Any

import numpy as np

from llamakit.convert.config import Config
from llamakit.convert.vocabulary.chat_templates import template_keys
from llamakit.convert.vocabulary.files import TokenizerFiles
from llamakit.convert.vocabulary.pretokenizer import find_pretokenizer
from llamakit.convert.vocabulary.special import special_keys
from llamakit.convert.vocabulary.tables import read_table
from llamakit.core.vocab.pretokenizers import IGNORE_MERGES_KEY, REGEX_KEY

PREFIX = "tokenizer.ggml."


def vocabulary_keys(
    files: TokenizerFiles, config: Config, n_vocab: int | None, has_all_added: bool = False
) -> dict[str, Any]:
    """Full keys to values, in the order they are written.

    Raises VocabError, ModelError where the files are malformed or of a kind that is not known.
    """
    table = read_table(files, n_vocab, has_all_added)
    found: dict[str, Any] = {f"{PREFIX}model": table.kind}
    if table.kind in ("gpt2", "bert"):
        pre = find_pretokenizer(files) if table.kind == "gpt2" else None
        found[f"{PREFIX}pre"] = pre.name if pre else "gpt-2"
        if pre and pre.patterns is not None:
            found[REGEX_KEY] = list(pre.patterns)
            found[IGNORE_MERGES_KEY] = bool(files.model.get("ignore_merges"))
    elif table.kind != "rwkv":
        found[f"{PREFIX}pre"] = "default"
    found[f"{PREFIX}tokens"] = table.texts
    if table.scores is not None:
        found[f"{PREFIX}scores"] = np.asarray(table.scores, np.float32)
    found[f"{PREFIX}token_type"] = np.asarray(table.types, np.int32)
    if table.merges is not None:
        found[f"{PREFIX}merges"] = table.merges
    own = {**table.extra, **dict(special_keys(files, config, len(table.texts)))}
    found |= {PREFIX + key: value for key, value in own.items()}
    found |= dict(template_keys(files))
    return found | normalizer_keys(files)


def normalizer_keys(files: TokenizerFiles) -> dict[str, Any]:
    """What the tokenizer does to letters before anything else."""
    found: dict[str, Any] = {}
    for step in files.steps("normalizer", "normalizers"):
        kind = step.get("type")
        for key, alone in (("lowercase", "Lowercase"), ("strip_accents", "StripAccents")):
            value = True if kind == alone else step.get(key) if kind == "BertNormalizer" else None
            if isinstance(value, bool):
                found[f"{PREFIX}normalizer.{key}"] = value
    return found
