"""What the server says of itself: lines for people, or JSON for machines. Prompts and keys are never in them."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from llamakit.errors import UsageError

if TYPE_CHECKING:
    from llamakit.server.operations.record import RequestRecord

log = logging.getLogger("llamakit.server.requests")
_configured: dict[str, Any] = {}  # what `configure_logs` was told, for processes that this one starts


def configure_logs(
    *, as_json: bool = False, level: int = logging.INFO, path: str | None = None, is_new: bool = True
) -> None:
    """To stderr, and to a file if one is named, which begins anew unless not `is_new`; for the whole process.

    Raises UsageError for a file that cannot be written.
    """
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if path is not None:
        try:
            if is_new:
                open(path, "w").close()
            handlers.append(logging.FileHandler(path, encoding="utf-8"))  # at its end, whoever else writes to it
        except OSError as error:
            raise UsageError(f"--log-file {path}: {error.strerror}") from None
    for handler in handlers:
        handler.setFormatter(JsonFormatter() if as_json else LineFormatter())
    logging.basicConfig(level=level, handlers=handlers, force=True)
    _configured.update(as_json=as_json, level=level, path=path)


def inherited() -> str:
    """What a process that this one starts makes its log of; see `inherit`."""
    return json.dumps(_configured and {**_configured, "is_new": False})


def inherit(text: str) -> None:
    """Log as the process that has started this one; plainly where it does not log."""
    if options := json.loads(text):
        configure_logs(**options)


class LineFormatter(logging.Formatter):
    """A message can have no lines or terminal codes of its own: who sends a request does not write our log."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:
        return visible(super().formatMessage(record))


class JsonFormatter(logging.Formatter):
    """An object a line; what a message was given as `extra={"fields": {...}}` is part of it."""

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
        line = {"timestamp": time, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def visible(text: str) -> str:
    """With control characters written out: `\\n`, `\\x1b`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def log_request(record: RequestRecord) -> None:
    """One line when a request is over."""
    n_prompt = sum(stream.usage.n_prompt for stream in record.streams)
    n_drawn = sum(stream.usage.n_drawn for stream in record.streams)
    seconds = record.ended - record.begun
    outcome = str(record.status) if record.status else "gone"
    tokens = f", {n_prompt} + {n_drawn} tokens" if record.streams else ""
    fields = {
        "method": record.method,
        "path": record.path,
        "status": record.status,
        "seconds": round(seconds, 6),
        "prompt_tokens": n_prompt,
        "completion_tokens": n_drawn,
    }
    # the path without its query: a key may be in there
    log.info("%s %s %s %.3f s%s", record.method, record.path, outcome, seconds, tokens, extra={"fields": fields})
