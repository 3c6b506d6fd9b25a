"""How requests end, counted: every one that began is in exactly one place."""

from __future__ import annotations

from enum import Enum

from llamakit.core.engine.scheduler import Cancelled, Failed
from llamakit.server.operations.record import RequestRecord

OVERLOADED = (429, 503)
GENERATING = {
    "/", "/completion", "/completions", "/v1/completions", "/chat/completions", "/v1/chat/completions", "/responses",
    "/v1/responses", "/v1/messages", "/infill", "/generate", "/generate_stream", "/invocations", "/vertex",
    "/v1/engines/copilot-codex/completions",
}  # fmt: skip


class Outcome(Enum):
    """By the words of TGI's `err` label, but for the first and the last."""

    SUCCESS = "success"
    VALIDATION = "validation"  # refused for what it asked
    OVERLOADED = "overloaded"  # refused for want of room
    GENERATION = "generation"  # went wrong on its way
    INCOMPLETE = "incomplete"  # the client went, or the server


def outcome_of(record: RequestRecord) -> Outcome:
    ends = [stream.end for stream in record.streams]
    if any(isinstance(end, Failed) for end in ends) or record.status in (500, 502):
        return Outcome.GENERATION
    if record.status in OVERLOADED:
        return Outcome.OVERLOADED
    if 400 <= record.status < 499:
        return Outcome.VALIDATION
    if record.status in (0, 499) or any(end is None or isinstance(end, Cancelled) for end in ends):
        return Outcome.INCOMPLETE
    return Outcome.SUCCESS


def asks_for_tokens(record: RequestRecord) -> bool:
    """Is it one of those that are counted, whether it was good or not?"""
    return bool(record.streams) or (record.method == "POST" and record.route in GENERATING)
