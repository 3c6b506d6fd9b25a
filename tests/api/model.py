"""The model that these tests open: tiny, with a vocabulary that has bytes and a few words."""

from __future__ import annotations

from itertools import islice

from tests.core.vocab.vocabs import spm_metadata
from tests.tiny import Tiny

PIECES = [(text, -float(i)) for i, text in enumerate(["▁t", "▁th", "▁the", "▁c", "▁ca", "▁cat"])]
SPM = spm_metadata(PIECES, bos_token_id=1, eos_token_id=2)
TEXTS = SPM["tokenizer.ggml.tokens"]
TINY = Tiny(n_vocab=len(TEXTS), metadata=SPM | {"general.name": "tiny", "general.file_type": 0})
PROMPT = [1, 70, 71, 72, 73]


def take(generator, n):
    return list(islice(generator, n))
