"""A GGUF file as a model: architecture, metadata, vocabulary. Weights are packed later, by a context."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from llamakit.core.engine.describe import describe_size, file_type
from llamakit.core.gguf.metadata import Metadata, with_overrides
from llamakit.core.gguf.reader import GGUFReader
from llamakit.core.models.base import Decoder
from llamakit.core.models.hparams import HParams
from llamakit.core.models.registry import find
from llamakit.core.vocab.base import Vocab, load_vocab


class Model:
    """An open model. `metadata` maps full GGUF keys to values, with the overrides in front.

    Raises GGUFError for a damaged file, ModelError for one that no known architecture fits.
    """

    def __init__(self, path: str | Path, overrides: Mapping[str, Any] | None = None, use_mmap: bool = True) -> None:
        self.path = Path(path)
        self.reader = GGUFReader(path, use_mmap=use_mmap)
        self.metadata = with_overrides(self.reader.metadata, overrides)
        meta = Metadata.of_model(self.metadata, path)
        self.decoder: Decoder = find(meta)(meta, self.reader)
        self.arch = meta.arch

    @cached_property
    def vocab(self) -> Vocab:
        """Text to tokens and back; VocabError when the file has none that is known: the model still runs token ids."""
        return load_vocab(self.metadata)

    @property
    def hparams(self) -> HParams:
        return self.decoder.hp

    @property
    def n_vocab(self) -> int:
        return self.decoder.n_vocab

    @property
    def n_ctx_train(self) -> int:
        return self.decoder.hp.n_ctx_train

    @property
    def n_params(self) -> int:
        return sum(t.n_values for t in self.reader.tensors)

    @property
    def n_bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(t.n_bytes for t in self.reader.tensors)

    @property
    def description(self) -> str:
        """Architecture, size and file type, as llama-bench says them: "llama 135M Q4_1"."""
        return f"{self.arch} {describe_size(self.n_params)} {file_type(self.metadata)}"

    @cached_property
    def identity(self) -> dict[str, str]:
        """What tells this model from others, for saved states; see `identity.py`."""
        from llamakit.core.engine.identity import identity_of_model

        return identity_of_model(self)

    @property
    def n_bytes_per_token(self) -> int:
        """Bytes of weights read to compute one token: the matrices of all layers and the output head."""
        return round(sum(t.n_bytes * self._use(t.name) for t in self.reader.tensors))

    @property
    def n_bytes_of_head(self) -> int:
        """Bytes of the output head: a matrix of its own, or the table of tokens."""
        name = "output.weight" if "output.weight" in self.reader else "token_embd.weight"
        return self.reader.tensor(name).n_bytes

    @property
    def n_flops_per_token(self) -> int:
        """Products and sums of the matrices for one token of a prompt: the head runs for its last token only."""
        matrices = (t for t in self.reader.tensors if len(t.shape) > 1 and t.name.startswith("blk."))
        return round(sum(2 * t.n_values * self._use(t.name) for t in matrices))

    def _use(self, name: str) -> float:
        """The share of a tensor that one token needs."""
        if "_exps." in name:
            return self.hparams.n_expert_used / self.hparams.n_expert
        is_table_only = name == "token_embd.weight" and "output.weight" in self.reader
        return 0.0 if is_table_only else 1.0

    def close(self) -> None:
        self.reader.close()

    def __enter__(self) -> Model:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def load_model(path: str | Path, overrides: Mapping[str, Any] | None = None, use_mmap: bool = True) -> Model:
    """Open a model file; `overrides` replaces metadata values by their full keys. See `Model` for the errors."""
    return Model(path, overrides, use_mmap)
