"""A model as users name it: one GGUF file, or all shards of a split opened as one."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

from llamakit.core.gguf.file import GGUFFile
from llamakit.core.gguf.shards import open_shards
from llamakit.core.gguf.tensor import Tensor


class GGUFReader:
    """Metadata and tensors of a model, memory-mapped and read-only.

    `path` names a file or any shard of a split; of a split, `metadata`, `version` and the like are the first
    shard's and `tensors` those of all shards in order.

    Attributes: `path`, `files` (GGUFFile, one a shard), `version` (1 to 3), `byte_order` ("little" or "big"),
    `alignment`, `data_offset`, `metadata` (key -> int, float, bool, str or list, decoded when asked for),
    `tensors` (list of `Tensor`), `warnings` (texts).

    Raises GGUFError, naming file and byte, for whatever is not as the format demands. See `GGUFFile` for `strict`
    and `use_mmap`.
    """

    def __init__(self, path: str | os.PathLike[str], *, strict: bool = False, use_mmap: bool = True) -> None:
        self.path = Path(path)
        self.files: list[GGUFFile] = open_shards(path, strict=strict, use_mmap=use_mmap)
        first = self.files[0]
        self.version = first.version
        self.byte_order = first.byte_order
        self.alignment = first.alignment
        self.data_offset = first.data_offset
        self.metadata = first.metadata
        self.tensors: list[Tensor] = [tensor for file in self.files for tensor in file.tensors]
        self.warnings = tuple(warning for file in self.files for warning in file.warnings)
        self._by_name = {tensor.name: tensor for tensor in self.tensors}

    def tensor(self, name: str) -> Tensor:
        """The tensor of that name; raises KeyError."""
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        """Whether there is a tensor of that name."""
        return name in self._by_name

    def release(self, tensor: Tensor) -> None:
        """Drop a tensor's pages from memory after use; they are read again if touched again."""
        tensor.release()

    def close(self) -> None:
        """Close the files; asking for tensor data then raises ValueError. Arrays handed out stay valid."""
        for file in self.files:
            file.close()

    def __enter__(self) -> GGUFReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
