"""Hashes of a file's tensors, one by one and all together, in the order of the file."""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

from llamakit.core.gguf.file import GGUFFile

HASHES = ("xxh64", "sha1", "sha256")  # in the order they are printed
UUID = "uuid"
NAMESPACE = uuid.UUID("ef001206-dadc-5f6d-a15f-3359e577d4e5")  # uuid5(NAMESPACE_URL, "en.wikipedia.org/wiki/Llama.cpp")
PIECE = 1 << 20  # bytes that all hashes are given at once


class Hasher(Protocol):
    def update(self, data: memoryview, /) -> None: ...
    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a manifest. `name` is "FILE:TENSOR", or "FILE" for all its tensors."""

    algorithm: str
    digest: str
    name: str

    def __str__(self) -> str:
        return f"{self.algorithm:<8}  {self.digest}  {self.name}"


def hash_file(
    file: GGUFFile,
    name: str,
    algorithms: Sequence[str],
    *,
    per_tensor: bool = True,
    report: Callable[[int], None] = lambda n_bytes: None,
) -> Iterator[Entry]:
    """Hash the tensor data of a file called `name`, as it is stored, without metadata and padding.

    Yields what `algorithms` names of `HASHES` and `UUID` for each tensor, if `per_tensor`, and then for all. The data
    is read once, the hashes run side by side; `report` is told bytes done.
    """
    of_file = {algorithm: new(algorithm) for algorithm in (*HASHES, UUID) if algorithm in algorithms}
    with ThreadPoolExecutor(min(os.cpu_count() or 1, 2 * len(of_file))) as pool:
        for tensor in file.tensors:
            of_tensor = {algorithm: new(algorithm) for algorithm in of_file if per_tensor and algorithm != UUID}
            hashers = [*of_file.values(), *of_tensor.values()]
            for _, piece in tensor.pieces(PIECE):
                running = [pool.submit(hasher.update, piece.data) for hasher in hashers]
                for update in running:
                    update.result()  # all must be through: the piece leaves the memory now
                report(len(piece))
            for algorithm, hasher in of_tensor.items():
                yield Entry(algorithm, hasher.hexdigest(), f"{name}:{tensor.name}")
    for algorithm, hasher in of_file.items():
        yield Entry(algorithm, hasher.hexdigest(), name)


def new(algorithm: str) -> Hasher:
    if algorithm == "xxh64":
        from llamakit.core.kernels.checksum import XXH64  # the others need no kernel

        return XXH64()
    if algorithm == UUID:
        return UUID5()
    return hashlib.new(algorithm)


class UUID5:
    """The UUID of a model: version 5 of RFC 9562, from the SHA-1 of the namespace and the data."""

    def __init__(self) -> None:
        self._sha1: Any = hashlib.sha1(NAMESPACE.bytes)

    def update(self, data: memoryview, /) -> None:
        self._sha1.update(data)

    def hexdigest(self) -> str:
        return str(uuid.UUID(bytes=self._sha1.digest()[:16], version=5))
