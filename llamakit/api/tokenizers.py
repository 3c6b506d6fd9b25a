"""llama-cpp-python's tokenizer objects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llamakit.api.llama import Llama


class BaseLlamaTokenizer(ABC):
    @abstractmethod
    def tokenize(self, text: bytes, add_bos: bool = True, special: bool = True) -> list[int]: ...

    @abstractmethod
    def detokenize(
        self, tokens: Sequence[int], prev_tokens: Sequence[int] | None = None, special: bool = False
    ) -> bytes: ...


class LlamaTokenizer(BaseLlamaTokenizer):
    """A model's own."""

    def __init__(self, llama: Llama) -> None:
        self._llama = llama

    def tokenize(self, text: bytes, add_bos: bool = True, special: bool = True) -> list[int]:
        return self._llama.tokenize(text, add_bos, special)

    def detokenize(
        self, tokens: Sequence[int], prev_tokens: Sequence[int] | None = None, special: bool = False
    ) -> bytes:
        return self._llama.detokenize(tokens, prev_tokens, special)

    def encode(self, text: str, add_bos: bool = True, special: bool = True) -> list[int]:
        return self.tokenize(text.encode("utf-8", "ignore"), add_bos, special)

    def decode(self, tokens: Sequence[int]) -> str:
        return self.detokenize(tokens).decode("utf-8", "ignore")

    @classmethod
    def from_ggml_file(cls, path: str) -> LlamaTokenizer:
        from llamakit.api.llama import Llama

        return cls(Llama(path, vocab_only=True, verbose=False))


class LlamaHFTokenizer(BaseLlamaTokenizer):
    """One of the packages tokenizers or transformers, or anything with their `encode` and `decode`."""

    def __init__(self, hf_tokenizer: Any) -> None:
        self.hf_tokenizer = hf_tokenizer

    def tokenize(self, text: bytes, add_bos: bool = True, special: bool = True) -> list[int]:
        made = self.hf_tokenizer.encode(text.decode("utf-8", "ignore"), add_special_tokens=special)
        return list(getattr(made, "ids", made))

    def detokenize(
        self, tokens: Sequence[int], prev_tokens: Sequence[int] | None = None, special: bool = False
    ) -> bytes:
        """The bytes that tokens add to those before them."""
        before = [*(prev_tokens or ())]
        whole = self.hf_tokenizer.decode([*before, *tokens], skip_special_tokens=not special)
        known = self.hf_tokenizer.decode(before, skip_special_tokens=not special) if before else ""
        added: bytes = whole.encode("utf-8", "ignore")[len(known.encode("utf-8", "ignore")) :]
        return added

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: str) -> LlamaHFTokenizer:
        """Of a folder with a tokenizer.json, or of a repository, which is fetched."""
        from tokenizers import Tokenizer

        file = Path(pretrained_model_name_or_path) / "tokenizer.json"
        if file.exists():
            return cls(Tokenizer.from_file(str(file)))
        return cls(Tokenizer.from_pretrained(pretrained_model_name_or_path))
