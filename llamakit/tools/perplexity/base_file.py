"""Files of a base model's log-probabilities, llama.cpp's format: what --kl-divergence-base writes and reads.

"_logits_", then little-endian: int32 n_ctx, n_vocab, n_chunks, tokens[n_chunks][n_ctx];
for each chunk its n_ctx - 1 - n_ctx / 2 packed rows, those after the tokens n_ctx / 2 to n_ctx - 2.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from llamakit.core.gguf.output import OutputFile
from llamakit.errors import GGUFError
from llamakit.tools.perplexity.packed import PackedRows, n_words
from llamakit.tools.perplexity.windows import SHORTEST, Windows

MAGIC = b"_logits_"
HEADER = np.dtype([("magic", "S8"), ("n_ctx", "<i4"), ("n_vocab", "<i4"), ("n_chunks", "<i4")])

Ints = npt.NDArray[np.int32]


class BaseWriter:
    """A file to be, of windows of `tokens` (n_chunks, n_ctx): rows are written in order, `commit` makes it appear.

    Raises GGUFError for what the system refuses.
    """

    def __init__(self, path: str | Path, tokens: Ints, n_vocab: int) -> None:
        n_chunks, n_ctx = tokens.shape
        header = np.array((MAGIC, n_ctx, n_vocab, n_chunks), HEADER)
        self._file, self._size = OutputFile(path), 0
        self._put(header.tobytes())
        self._put(tokens.astype("<i4").tobytes())

    def write(self, packed: PackedRows) -> None:
        self._put(packed.rows.data.cast("B"))

    def commit(self) -> None:
        self._file.commit(self._size)

    def close(self) -> None:
        """Remove what was written unless it was committed."""
        self._file.discard()

    def _put(self, data: bytes | memoryview) -> None:
        self._file.write(self._size, data)
        self._size += memoryview(data).nbytes


class BaseReader:
    """An open file: its windows, and its rows in order.

    Raises GGUFError for a file that is none, is cut short, or holds tokens that are none of its vocabulary.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._file = open(self.path, "rb")
            self._read_header()
        except OSError as error:
            raise GGUFError(self.path, None, f"cannot read: {error.strerror}") from None
        except GGUFError:
            self.close()
            raise

    def _read_header(self) -> None:
        raw = self._file.read(HEADER.itemsize)
        if raw[: len(MAGIC)] != MAGIC:
            raise GGUFError(self.path, 0, "no file of log-probabilities, as --kl-divergence-base writes them")
        if len(raw) < HEADER.itemsize:
            raise GGUFError(self.path, len(raw), "the file ends in its header")
        _, n_ctx, n_vocab, n_chunks = (np.frombuffer(raw, HEADER)[0][name] for name in HEADER.names or ())
        if n_ctx < SHORTEST or n_vocab < 1 or n_chunks < 1:
            what = f"{n_chunks} chunks of {n_ctx} tokens, of a vocabulary of {n_vocab}"
            raise GGUFError(self.path, len(MAGIC), f"the header makes no sense: {what}")
        self.n_vocab = int(n_vocab)
        n_rows = int(n_chunks) * (int(n_ctx) - 1 - int(n_ctx) // 2)
        needed = HEADER.itemsize + 4 * int(n_ctx) * int(n_chunks) + 2 * n_words(self.n_vocab) * n_rows
        size = self.path.stat().st_size
        if size < needed:
            raise GGUFError(self.path, size, f"the file ends before its {needed} bytes; was its run stopped?")
        tokens = np.fromfile(self._file, "<i4", int(n_ctx) * int(n_chunks)).astype(np.int32)
        if tokens.min() < 0 or tokens.max() >= n_vocab:
            raise GGUFError(self.path, HEADER.itemsize, f"holds tokens outside its vocabulary of {n_vocab}")
        self.tokens: Ints = tokens.reshape(n_chunks, n_ctx)
        self._packed = PackedRows.empty(0, self.n_vocab)

    def windows(self, bos_id: int | None = None, n_chunks: int | None = None) -> Windows:
        """The windows that the rows belong to, the first n_chunks or all."""
        n_ctx = self.tokens.shape[1]
        return Windows(self.tokens[:n_chunks], n_ctx // 2, bos_id)

    def read(self, n: int) -> PackedRows:
        """The next n rows, in memory that the next ones overwrite."""
        if len(self._packed) < n:
            self._packed = PackedRows.empty(n, self.n_vocab)
        packed = self._packed[:n]
        n_read = self._file.readinto(packed.rows.data.cast("B"))
        if n_read < packed.rows.nbytes:
            raise GGUFError(self.path, self._file.tell(), "the file ends within its log-probabilities")
        if not np.isfinite(packed.header).all():
            raise GGUFError(self.path, self._file.tell() - n_read, "log-probabilities that are not numbers follow")
        return packed

    def close(self) -> None:
        if not self._file.closed:
            self._file.close()

    def __enter__(self) -> BaseReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
