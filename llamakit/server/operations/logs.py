"""What the server says of itself: lines for people, or JSON for machines. Prompts and keys are never in them."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone

from llamakit.server.operations.record import RequestRecord

log = logging.getLogger("llamakit.server.requests")


def configure_logs(*, as_json: bool = False, level: int = logging.INFO) -> None:
    """To stderr, for the whole process."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if as_json else LineFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)


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
