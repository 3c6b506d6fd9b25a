"""What a command tells the person beside its results: on stderr, and in a file with --log-file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, TextIO

from llamakit.cli.options import shared as o
from llamakit.cli.options.shared import option
from llamakit.errors import UsageError

WARNING, INFO = 2, 3  # llama.cpp's levels of verbosity; 1: errors, 4: trace, 5: debug


@dataclass(frozen=True)
class LogOptions:
    log_disable: o.LogDisable = False
    log_file: Annotated[str | None, option("--log-file", env="LOG_FILE", help="File for what stderr is told.")] = None
    verbosity: Annotated[
        int,
        option(
            "-lv",
            "--verbosity",
            "--log-verbosity",
            env="LOG_VERBOSITY",
            help="What to tell: 1 errors, 2 warnings too, 3 timings and all else.",
        ),
    ] = INFO
    perf: Annotated[bool, option("--perf/--no-perf", env="PERF", help="Tell the timings.")] = True
    verbose: o.Verbose = False


class Log:
    """Lines of a level up to `verbosity`. Errors are not told here: they end the command."""

    def __init__(self, verbosity: int, stream: TextIO | None, file: TextIO | None) -> None:
        self.verbosity, self.stream, self.file = verbosity, stream, file

    @classmethod
    @contextmanager
    def to(cls, options: LogOptions) -> Iterator[Log]:
        """The log that options ask for, its file open. Raises UsageError for one that cannot be written."""
        verbosity = 0 if options.log_disable else options.verbosity
        if options.log_file is None:
            yield cls(verbosity, sys.stderr, None)
            return
        try:
            file = open(options.log_file, "w", encoding="utf-8")
        except OSError as error:
            raise UsageError(f"--log-file {options.log_file}: {error.strerror}") from None
        with file:
            yield cls(verbosity, sys.stderr, file)

    def shows(self, level: int) -> bool:
        return self.verbosity >= level

    def info(self, message: str) -> None:
        self.write(INFO, message)

    def warn(self, message: str) -> None:
        self.write(WARNING, message)

    def write(self, level: int, message: str) -> None:
        if self.shows(level):
            if self.stream is not None:
                print(message, file=self.stream, flush=True)
            self.keep(message)

    def keep(self, message: str) -> None:
        """A line for the file alone: of what the person sees anyway."""
        if self.file is not None:
            print(message, file=self.file, flush=True)
