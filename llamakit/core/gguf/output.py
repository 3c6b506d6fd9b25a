"""A file written beside its final name and renamed when it is whole: never half a file under the final name."""

from __future__ import annotations

import fcntl
import os
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from llamakit.errors import GGUFError

BUSY = "cannot write: another process is writing it, or another writer of this one"


class OutputFile:
    """A file to be; bytes go to NAME.partial, which `commit` makes NAME and `discard` removes.

    The name of the partial file is fixed, so that a second run clears up after a killed one, and it is locked, so
    that two runs at once cannot mix. A file of the final name stays as it is until the new one is on the disk; who
    has it open or mapped keeps the old one. All methods raise GGUFError for what the system refuses.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._final = Path(os.path.realpath(path))  # behind a symbolic link, the file it names is replaced
        self._partial = self._final.with_name(self._final.name + ".partial")
        if self._final.exists() and not self._final.is_file():
            raise GGUFError(self.path, None, "cannot write: it is there and is not a regular file")
        try:
            self._fd = self._open_locked()
        except OSError as error:
            raise self._error(error) from None
        # Forgotten unfinished, it must not lock its name until the process ends.
        self._abandon = weakref.finalize(self, abandon, self._fd, self._partial)
        self._abandon.atexit = False  # a forked child that ends must not take its parent's file away

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Put `data` at `offset`; bytes never written to are zero."""
        rest = memoryview(data)
        try:
            while rest.nbytes:
                n = os.pwrite(self._fd, rest, offset)
                rest, offset = rest[n:], offset + n
        except OSError as error:
            raise self._error(error) from None

    def commit(self, size: int) -> None:
        """Make the file `size` bytes long, bring it to the disk, and give it its final name."""
        self.finish(size)
        self.publish()

    def finish(self, size: int) -> None:
        """The first half of `commit`: the whole file is on the disk, still under its partial name."""
        try:
            os.ftruncate(self._fd, size)
            os.fsync(self._fd)
        except OSError as error:
            raise self._error(error) from None

    def withdraw(self) -> None:
        """Remove the file that has the final name now, if there is one."""
        try:
            self._final.unlink(missing_ok=True)
        except OSError as error:
            raise self._error(error) from None

    def publish(self) -> None:
        """The second half of `commit`: give the finished file its final name."""
        try:
            os.replace(self._partial, self._final)
            self._abandon.detach()
            os.close(self._fd)
            self._fd = -1
            folder = os.open(self._final.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise self._error(error) from None

    def discard(self) -> None:
        """Remove what was written; does nothing after `commit`."""
        if self._fd < 0:
            return
        self._abandon()
        self._fd = -1

    def _open_locked(self) -> int:
        while True:
            fd = os.open(self._partial, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Another writer may have renamed the file between our opening and locking it: then look again.
                if self._is_partial(fd):
                    os.ftruncate(fd, 0)
                    return fd
            except BlockingIOError:
                os.close(fd)
                raise GGUFError(self.path, None, BUSY) from None
            except OSError:
                os.close(fd)
                raise
            os.close(fd)

    def _is_partial(self, fd: int) -> bool:
        try:
            return os.path.samestat(os.stat(self._partial), os.fstat(fd))
        except FileNotFoundError:
            return False

    def _error(self, error: OSError) -> GGUFError:
        return GGUFError(self.path, None, f"cannot write: {error.strerror}")


def abandon(fd: int, partial: Path) -> None:
    partial.unlink(missing_ok=True)
    os.close(fd)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Raises GGUFError where no file of that name could be written, before the work that makes its contents."""
    OutputFile(path).discard()


def write_file(path: str | os.PathLike[str], data: bytes | memoryview) -> None:
    """A whole file at once. Raises GGUFError for what the system refuses."""
    with file_for(path) as write:
        write(data)


@contextmanager
def file_for(path: str | os.PathLike[str] | None) -> Iterator[Callable[[bytes | memoryview], None]]:
    """What writes a file whole, opened before the work that makes its contents: what is refused is refused at once.

    No path, and nothing is written. Raises GGUFError.
    """
    if path is None:
        yield lambda data: None
        return
    file = OutputFile(path)

    def write(data: bytes | memoryview) -> None:
        file.write(0, data)
        file.commit(memoryview(data).nbytes)

    try:
        yield write
    finally:
        file.discard()
