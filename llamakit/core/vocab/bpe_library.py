"""The tokenizers library as an engine of BPE, with the same ids as our own merge loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from llamakit.core.vocab.letters import LETTERS
from llamakit.core.vocab.pretokenizers import SplitRule
from llamakit.core.vocab.text import is_utf8
from llamakit.core.vocab.tokens import TokenTable

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.pre_tokenizers import PreTokenizer

_BYTE_TOKENS = [f"<0x{byte:02X}>" for byte in range(256)]


@dataclass(frozen=True, slots=True)
class BPELibrary:
    """It wants every byte and every part and result of a merge to be a token: those that are not get ids from n_vocab
    on, and `extra` says what to put in their place."""

    tokenizer: Tokenizer
    n_vocab: int
    extra: list[list[int]]

    @classmethod
    def build(
        cls,
        tokens: TokenTable,
        merges: list[str],
        splitter: PreTokenizer,
        rule: SplitRule,
        symbol_ids: Callable[[str], list[int]],
    ) -> BPELibrary | None:
        """None where whole pieces are tokens (ignore_merges) and a part is none: the library would emit that part.

        `symbol_ids` tells the ids of a symbol that merges no further.
        """
        from tokenizers import Tokenizer
        from tokenizers.models import BPE

        ids = tokens.ids if tokens.is_utf8 else {text: i for text, i in tokens.ids.items() if is_utf8(text)}
        pairs = [(left, right) for left, _, right in (merge.partition(" ") for merge in dict.fromkeys(merges))]
        pairs = [pair for pair in pairs if " " not in pair[1]]  # a part with a space occurs in no piece
        parts = {*(_BYTE_TOKENS if rule.raw else LETTERS), *chain.from_iterable(pairs), *map("".join, pairs)}
        absent = sorted(parts - ids.keys())
        if absent and rule.ignore_merges:
            return None
        n_vocab = len(tokens.texts)
        extra_ids = {text: n_vocab + k for k, text in enumerate(absent)}
        model = BPE(ids | extra_ids, pairs, ignore_merges=rule.ignore_merges, byte_fallback=rule.raw)
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = splitter
        return cls(tokenizer, n_vocab, [[] if text in _BYTE_TOKENS else symbol_ids(text) for text in absent])

    def encode(self, texts: list[str]) -> list[list[int]]:
        """Ids of each text."""
        batch = [encoding.ids for encoding in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        if not self.extra:
            return batch
        n_vocab, extra = self.n_vocab, self.extra
        return [[token for i in ids for token in (extra[i - n_vocab] if i >= n_vocab else (i,))] for ids in batch]
