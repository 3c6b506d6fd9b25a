"""Files as no writer would make them: the pieces of a GGUF file as bytes, to be put together right or wrong."""

from __future__ import annotations

import gc
import struct
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from llamakit.core.gguf.reader import GGUFReader
from llamakit.errors import GGUFError

MIB = 1 << 20


@dataclass(frozen=True)
class Pieces:
    """Makes the pieces in one byte order and one version."""

    mark: str = "<"
    version: int = 3

    def pack(self, codes: str, *numbers: float) -> bytes:
        return struct.pack(self.mark + codes, *numbers)

    @property
    def length(self) -> str:
        return "I" if self.version == 1 else "Q"

    def text(self, content: bytes, length: int | None = None) -> bytes:
        return self.pack(self.length, len(content) if length is None else length) + content

    def field(self, key: bytes, type_: int, value: bytes) -> bytes:
        return self.text(key) + self.pack("I", type_) + value

    def array(self, element_type: int, n: int, items: bytes) -> bytes:
        return self.pack("I" + self.length, element_type, n) + items

    def info(self, name: bytes, shape: tuple[int, ...], type_: int = 0, offset: int = 0, n_dims: int = -1) -> bytes:
        n_dims = len(shape) if n_dims < 0 else n_dims
        return (
            self.text(name) + self.pack("I", n_dims) + self.pack(self.length * len(shape) + "IQ", *shape, type_, offset)
        )

    def file(
        self,
        fields: tuple[bytes, ...] = (),
        infos: tuple[bytes, ...] = (),
        data: bytes = b"",
        *,
        n_fields: int | None = None,
        n_tensors: int | None = None,
        version: bytes | None = None,
        alignment: int = 32,
    ) -> bytes:
        counts = (len(infos) if n_tensors is None else n_tensors, len(fields) if n_fields is None else n_fields)
        header = b"GGUF" + (self.pack("I", self.version) if version is None else version)
        header += self.pack(self.length * 2, *counts) + b"".join(fields) + b"".join(infos)
        return header + bytes(-len(header) % alignment if infos else 0) + data

    def small_model(self) -> bytes:
        """Eleven kinds of entries, two tensors, all padded to 32: a file without fault."""
        fields = (
            self.field(b"general.architecture", 8, self.text(b"llama")),
            self.field(b"a.u8", 0, b"\x07"),
            self.field(b"a.i16", 3, self.pack("h", -300)),
            self.field(b"a.u32", 4, self.pack("I", 70_000)),
            self.field(b"a.f32", 6, self.pack("f", 0.5)),
            self.field(b"a.bool", 7, b"\x01"),
            self.field(b"a.u64", 10, self.pack("Q", 1 << 40)),
            self.field(b"a.f64", 12, self.pack("d", 1e-300)),
            self.field(b"tokens", 9, self.array(8, 3, self.text(b"a") + self.text(b"") + self.text("é".encode()))),
            self.field(b"types", 9, self.array(5, 3, self.pack("3i", 1, -2, 3))),
            self.field(
                b"nested", 9, self.array(9, 2, self.array(0, 2, b"\x01\x02") + self.array(8, 1, self.text(b"x")))
            ),
        )
        infos = (self.info(b"one", (8, 2)), self.info(b"two", (32, 2), type_=8, offset=64))
        return self.file(fields, infos, self.pack("16f", *range(16)) + bytes(range(68)) + bytes(28))


@pytest.fixture
def pieces() -> Pieces:
    return Pieces()


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., GGUFError]:
    """Write bytes to a file that the reader must refuse in under a second and 64 MiB, naming the file and the fault."""

    def check(content: bytes, words: str, *, offset: int | None = None, strict: bool = False) -> GGUFError:
        path = tmp_path / "bad.gguf"
        path.write_bytes(content)
        gc.collect()
        tracemalloc.start()
        started = time.process_time()
        try:
            with pytest.raises(GGUFError, match=words) as caught:
                GGUFReader(path, strict=strict)
            seconds, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 500
        assert seconds < 1
        assert peak < len(content) * 3 + 64 * MIB
        if offset is not None:
            assert caught.value.offset == offset
        return caught.value

    return check


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., GGUFReader]:
    """Write bytes to a file and open it."""

    def open_(content: bytes, **options: bool) -> GGUFReader:
        path = tmp_path / f"good-{len(list(tmp_path.iterdir()))}.gguf"
        path.write_bytes(content)
        return GGUFReader(path, **options)

    return open_
