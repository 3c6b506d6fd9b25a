"""The log of `llamakit server`: on stderr, in a file with --log-file, in JSON with --log-jsonl."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from llamakit.errors import LlamakitError

if TYPE_CHECKING:
    from llamakit.cli.run_log import LogOptions

log = logging.getLogger(__name__)


@contextmanager
def server_log(options: LogOptions, as_json: bool) -> Iterator[None]:
    """Open the log; where a machine or a file reads it, it is told why the server cannot start.

    Raises UsageError for a file that cannot be written.
    """
    from llamakit.server.operations.logs import configure_logs

    configure_logs(as_json=as_json, level=level_of(options), path=options.log_file)
    try:
        yield
    except LlamakitError as error:
        if not as_json and options.log_file is None:
            raise  # the command line says it
        from typer import Exit

        log.error("%s", error, exc_info=error if options.verbose else None)
        raise Exit(error.exit_code) from None


def level_of(options: LogOptions) -> int:
    """Of Python's logging."""
    if options.log_disable:
        return logging.ERROR
    if options.verbose:
        return logging.DEBUG
    return {0: logging.CRITICAL, 1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO}.get(options.verbosity, 10)
