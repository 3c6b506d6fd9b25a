"""Text <-> token ids."""

from llamakit.core.vocab.base import Vocab, load_vocab
from llamakit.core.vocab.stream import TextStream

__all__ = ["TextStream", "Vocab", "load_vocab"]
