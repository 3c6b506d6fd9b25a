"""The bytes of one file: opened without surprises, read by position, mapped when asked."""

from __future__ import annotations

import errno
import mmap
import os
import stat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llamakit.errors import GGUFError

_KINDS = (
    (stat.S_ISDIR, "a directory; name a .gguf file inside it"),
    (stat.S_ISFIFO, "a named pipe; copy its data to a file first"),
    (stat.S_ISCHR, "a character device"),
    (stat.S_ISBLK, "a block device"),
    (stat.S_ISSOCK, "a socket"),
)
_REASONS = {
    errno.ENOENT: "no such file",
    errno.ENOTDIR: "a folder on the way to it is a file",
    errno.EACCES: "permission denied; may this user read it?",
    errno.EPERM: "permission denied; may this user read it?",
    errno.ELOOP: "a symbolic link that leads to itself",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENXIO: "a socket or a device without a driver",
}


class Source:
    """A regular file open for reading; `size` is its length when it was opened.

    `read` copies. `view` gives a read-only window: of the mapped file, or of memory filled by `read` when the
    file is not mapped. Truncating a mapped file makes the kernel send SIGBUS to whoever touches the lost pages:
    `view` checks the length each time it is asked, but cannot help an array already handed out. Where others may
    shrink a file in use, do not map it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open `path`; raises GGUFError for anything but a readable regular file, and never waits on a pipe."""
        self._map: mmap.mmap | None = None
        self._fd = -1
        self.path = Path(path)
        try:
            # Without O_NONBLOCK, opening a pipe waits for a writer.
            self._fd = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
            status = os.fstat(self._fd)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = _REASONS.get(getattr(error, "errno", None) or 0, str(error))
            raise GGUFError(self.path, None, f"cannot open: {reason}") from None
        if not stat.S_ISREG(status.st_mode):
            self.close()
            kind = next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), "not a regular file")
            raise GGUFError(self.path, None, f"cannot open: it is {kind}")
        self.size = status.st_size

    def read(self, offset: int, n_bytes: int) -> bytes:
        """Copy exactly `n_bytes` from `offset`; raises GGUFError if the file has become shorter."""
        parts = []
        while n_bytes:
            try:
                part = os.pread(self._descriptor(), n_bytes, offset)
            except OSError as error:
                raise GGUFError(self.path, offset, f"cannot read: {error.strerror}") from error
            if not part:
                raise GGUFError(self.path, offset, "the file became shorter while it was open; write it again")
            parts.append(part)
            offset, n_bytes = offset + len(part), n_bytes - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def map(self, n_bytes: int) -> None:
        """Map the first `n_bytes` read-only; a later rename or replacement of the file does not change them."""
        if n_bytes == 0:
            return
        try:
            self._map = mmap.mmap(self._descriptor(), n_bytes, access=mmap.ACCESS_READ)
        except (OSError, ValueError, OverflowError) as error:
            message = f"cannot map {n_bytes} bytes: {error}; open it with use_mmap=False"
            raise GGUFError(self.path, None, message) from None
        os.close(self._fd)  # the map holds the file open by itself
        self._fd = -1

    def view(self, offset: int, n_bytes: int) -> NDArray[np.uint8]:
        """Bytes of the file, uint8 [n_bytes], read-only; valid for as long as the array lives."""
        if self._map is None:
            return np.frombuffer(self.read(offset, n_bytes), np.uint8)
        if self._map.size() < offset + n_bytes:
            raise GGUFError(self.path, self._map.size(), "the file became shorter while it was open; write it again")
        return np.frombuffer(self._map, np.uint8, n_bytes, offset)

    def release(self, offset: int, n_bytes: int) -> None:
        """Give the pages of a mapped range back to the system; they are read again if touched again."""
        if self._map is None or not hasattr(mmap, "MADV_DONTNEED"):
            return
        start = offset - offset % mmap.PAGESIZE
        self._map.madvise(mmap.MADV_DONTNEED, start, offset + n_bytes - start)

    def close(self) -> None:
        """Close the file. Arrays handed out stay valid: the map goes with the last of them."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._map = -1, None

    def _descriptor(self) -> int:
        if self._fd < 0:
            raise ValueError(f"{self.path} is closed")
        return self._fd

    def __del__(self) -> None:
        self.close()
