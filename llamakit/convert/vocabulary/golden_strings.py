"""Golden strings for the file: what the checkpoint's own tokenizer makes of a few texts (see `core/vocab`)."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from typing import Any

from llamakit.convert.vocabulary.files import TokenizerFiles
from llamakit.core.vocab.base import read_vocab
from llamakit.core.vocab.golden_strings import disagreements, golden_keys
from llamakit.errors import VocabError

log = logging.getLogger(__name__)

# No combining marks, no Hangul: there llama.cpp's rules, which GGUF files are read by, are not those of transformers.
TEXTS = (
    "Hello, world! It's 3:45 on 2024-01-31.",
    " two  spaces,\n\n\ttabs and CamelCase don't WE'LL",
    "def f(x): return x[1:] ** 2 if x >= 1_000 else None",
    "naïve Ünïcödé 漢字かな العربية Привет",
    "🙂👍🏽 “quotes” — 1/2 ½ €3,50",
)


def golden_strings(files: TokenizerFiles, keys: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of golden strings, by the tokenizers library, or SentencePiece's where there is no tokenizer.json.

    `keys` are those of the file's vocabulary: where it reads a text in another way, a warning says so at once.
    """
    found = golden_keys(TEXTS, _ids(files))
    if found:
        try:
            wrong = list(disagreements(read_vocab(keys), found))
        except VocabError as error:
            wrong = [str(error)]
        if wrong:
            more = f" (and {len(wrong) - 1} more)" if wrong[1:] else ""
            log.warning("%s: the vocabulary of the file is not the checkpoint's: %s%s", files.folder, wrong[0], more)
    return found


def _ids(files: TokenizerFiles) -> list[list[int]]:
    """The ids of each text, without BOS and EOS; none where no library can say what they are."""
    if files.tokenizer:
        try:
            return _ids_by_tokenizers(files)
        except BaseException as error:  # what the library throws is a bare Exception, or a panic, which is none
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            log.warning("%s: no golden strings: tokenizer.json: %.160s", files.folder, error)
            return []
    path = files.sentencepiece_path
    if path is None or files.is_shifted:
        return []
    from sentencepiece import SentencePieceProcessor

    processor = SentencePieceProcessor(model_file=str(path))
    return [processor.encode(text) for text in TEXTS]


def _ids_by_tokenizers(files: TokenizerFiles) -> list[list[int]]:
    from tokenizers import Tokenizer

    own = None if files.tekken_path else str(files.folder / "tokenizer.json")
    tokenizer = Tokenizer.from_file(own) if own else Tokenizer.from_str(json.dumps(files.tokenizer))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
