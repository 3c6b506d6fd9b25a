"""A terminal of its own for a command: keys in, a screen out."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyte

POLL, PATIENCE = 0.02, 1500  # seconds, and how many of them may pass with nothing written


class Screen(pyte.Screen):
    """Answers what programs ask of a terminal."""

    def __init__(self, columns: int, lines: int, fd: int) -> None:
        super().__init__(columns, lines)
        self.fd = fd

    def write_process_input(self, data: str) -> None:
        os.write(self.fd, data.encode())


class Terminal:
    """A command at work; `seen` waits for what the screen must show. Use as a context: the command ends with it."""

    def __init__(
        self,
        command: Sequence[str],
        columns: int = 80,
        lines: int = 24,
        env: dict[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.master, slave = pty.openpty()
        self.screen = Screen(columns, lines, self.master)
        self.stream = pyte.ByteStream(self.screen)
        self.bytes = b""  # all that the command has written
        set_size(slave, columns, lines)
        variables = {**os.environ, "TERM": "xterm-256color", "PYTHONUTF8": "1", **(env or {})}
        variables = {name: value for name, value in variables.items() if value}
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=variables, cwd=folder, preexec_fn=own_terminal
        )
        os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)

    def type(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        self.screen.resize(lines, columns)
        set_size(self.master, columns, lines)
        self.process.send_signal(signal.SIGWINCH)

    @property
    def lines(self) -> list[str]:
        """What the screen shows, down to the last line with something on it."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip().split("\n")

    def seen(self, *texts: str) -> None:
        """Wait until the screen shows all these, one after the other."""

        def has_all() -> bool:
            place, shown = 0, "\n".join(self.lines)
            for text in texts:
                place = shown.find(text, place)
                if place < 0:
                    return False
                place += len(text)
            return True

        self.wait(has_all, f"no {texts!r}")

    def type_until(self, keys: str, text: str) -> None:
        """Type the keys again and again, until the screen shows a text: for what gets ready in the background."""
        for _ in range(100):
            self.type(keys)
            for _ in range(10):
                self.read()
                if text in "\n".join(self.lines):
                    return
        self.seen(text)

    def prompted(self) -> None:
        """Wait for an empty prompt as the last line."""
        self.wait(lambda: self.lines[-1] == ">", "no prompt")

    def exit_code(self) -> int:
        self.wait(lambda: self.process.poll() is not None, "still running")
        return self.process.returncode

    def wait(self, is_there: Callable[[], bool], complaint: str) -> None:
        n_idle = 0
        while not is_there():
            n_idle = 0 if self.read() else n_idle + 1
            gives_up = n_idle == PATIENCE or (n_idle > 1 and self.process.poll() is not None and not is_there())
            assert not gives_up, f"{complaint} on the screen:\n" + "\n".join(self.lines)

    def read(self) -> bool:
        """Take what was written, if anything is within POLL seconds."""
        ready, _, _ = select.select([self.master], [], [], POLL)
        if ready:
            try:
                data = os.read(self.master, 1 << 16)
            except OSError:  # the command has closed its side
                time.sleep(POLL)
                return False
            self.bytes += data
            self.stream.feed(data)
        return bool(ready)


def own_terminal() -> None:
    """In the child: the terminal on standard input is the one that Ctrl-C comes from."""
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def set_size(fd: int, columns: int, lines: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))


def scripted(script: str, *args: str, folder: Path) -> list[str]:
    """The command line of a conversation whose model says a script (see `child.py`)."""
    child = Path(__file__).with_name("child.py")
    return [sys.executable, str(child), script, str(folder), *args]
