"""Writing a model as shards: all of them beside their final names, which they get together when the last is whole."""

from __future__ import annotations

import os
from types import TracebackType

from llamakit.core.gguf.shards import MAX_SHARDS, SPLIT_COUNT, SPLIT_NO, SPLIT_TENSORS, ShardName
from llamakit.core.gguf.types import DEFAULT_ALIGNMENT, ValueType
from llamakit.core.gguf.values import ByteOrder
from llamakit.core.gguf.writer import GGUFWriter
from llamakit.errors import GGUFError


class SplitWriter:
    """Writes the shards PREFIX-00001-of-0000N.gguf and so on; `shards` are their writers, first to last.

        with SplitWriter("model", n_shards=2) as writer:
            writer.shards[0].add("general.architecture", "llama")
            writer.add_split_keys(n_tensors=2)
            writer.shards[0].add_tensor("token_embd.weight", embeddings)
            writer.shards[1].add_tensor("output_norm.weight", norm)

    Killed at any moment, it leaves the shards that were there before, or the new ones, or too few for a reader to
    take: never half a shard under a final name, never shards of two models side by side. What it leaves besides,
    NAME.partial, the next run clears up. Close or discard the set, not its shards.
    """

    def __init__(
        self,
        prefix: str | os.PathLike[str],
        n_shards: int,
        *,
        alignment: int = DEFAULT_ALIGNMENT,
        byte_order: ByteOrder = "little",
    ) -> None:
        if not 1 <= n_shards <= MAX_SHARDS:
            raise GGUFError(os.fspath(prefix), None, f"cannot be split into {n_shards} shards, only 1 to {MAX_SHARDS}")
        self.shards: list[GGUFWriter] = []
        try:
            for path in shard_paths(prefix, n_shards):
                self.shards.append(GGUFWriter(path, alignment=alignment, byte_order=byte_order))
        except BaseException:
            self.discard()
            raise

    def add_split_keys(self, n_tensors: int) -> None:
        """Add to each shard what makes it one, behind the keys added so far; `n_tensors` is that of all shards."""
        for number, shard in enumerate(self.shards):
            shard.add(SPLIT_NO, number, ValueType.UINT16)
            shard.add(SPLIT_TENSORS, n_tensors, ValueType.INT32)
            shard.add(SPLIT_COUNT, len(self.shards), ValueType.UINT16)

    def close(self) -> None:
        """Write what is left, bring it to the disk and give all shards their names, the first shard last."""
        try:
            for shard in self.shards:
                shard.finish()
            for shard in self.shards:
                shard.withdraw()
            for shard in reversed(self.shards):
                shard.publish()
        except BaseException:
            self.discard()
            raise

    def discard(self) -> None:
        """Give up: remove what was written. Shards of the final names stay as they were."""
        for shard in self.shards:
            shard.discard()

    def __enter__(self) -> SplitWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def shard_paths(prefix: str | os.PathLike[str], n_shards: int) -> list[str]:
    """The paths of all shards, first to last."""
    return ShardName(os.fspath(prefix), 1, n_shards).siblings()
