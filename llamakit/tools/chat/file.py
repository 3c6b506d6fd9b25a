"""A conversation in a file: JSON that people can read, and the tokens that make it go on as if never left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from llamakit.core.chat.message import parse_messages
from llamakit.core.gguf.output import write_file
from llamakit.errors import UsageError
from llamakit.tools.chat.answer import raw_text
from llamakit.tools.chat.conversation import Conversation
from llamakit.tools.chat.transcript import Segment
from llamakit.tools.chat.window import Window

FORMAT, VERSION = "llamakit chat", 1
MOST_BYTES = 1 << 28  # of a file that is read: far more than any context holds


def save(conversation: Conversation, path: Path) -> None:
    """Write it beside `path` and rename. Raises GGUFError for what the system refuses."""
    speaker = conversation.speaker
    value = {
        "format": FORMAT,
        "version": VERSION,
        "messages": [message.to_dict() for message in conversation.messages],
        "n_answers": conversation.n_answers,
        "n_kept": speaker.window.n_kept,
        "n_dropped": speaker.window.n_dropped,
        "transcript": [{"text": s.text, "tokens": list(s.tokens)} for s in speaker.transcript.segments],
    }
    data = json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass")
    write_file(path, data)


def load(conversation: Conversation, path: Path) -> None:
    """Go on with a saved conversation, or with a list of messages as other programs write it.

    Raises UsageError, naming the place, for anything else; the conversation then stays as it is.
    """
    value = read_json(path)
    whole = value if isinstance(value, dict) else {"messages": value}
    listed = whole.get("messages")
    messages = [] if listed == [] else parse_messages(listed, f"{path}: messages")
    n_answers, n_kept, n_dropped = (count(whole, name, path) for name in ("n_answers", "n_kept", "n_dropped"))
    segments = read_segments(conversation, whole.get("transcript", []))
    if n_kept + n_dropped > len(messages):
        raise UsageError(f"{path}: n_kept and n_dropped are more than the {len(messages)} messages")
    conversation.messages, conversation.n_answers = list(messages), n_answers
    conversation.speaker.window = Window(n_kept, n_dropped)
    conversation.speaker.transcript.segments = segments


def read_json(path: Path) -> Any:
    try:
        with closing(path.open("rb")) as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise UsageError(f"{path}: too large for a conversation")
    try:
        return json.loads(data.decode("utf-8", "surrogatepass"))
    except (UnicodeDecodeError, RecursionError):
        raise UsageError(f"{path}: not a saved conversation") from None
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}: not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None


def count(whole: Mapping[str, Any], name: str, path: Path) -> int:
    value = whole.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UsageError(f"{path}: {name} must be a whole number from 0 on, not {str(value)[:40]!r}")
    return value


def read_segments(conversation: Conversation, value: Any) -> list[Segment]:
    """The transcript's segments, as far as they are what this model's vocabulary makes of their texts."""
    vocab = conversation.speaker.session.vocab
    segments: list[Segment] = []
    for item in value if isinstance(value, list) else []:
        text, tokens = (item.get("text"), item.get("tokens")) if isinstance(item, dict) else (None, None)
        if not isinstance(text, str) or not isinstance(tokens, list):
            break
        if not all(isinstance(token, int) and 0 <= token < vocab.n_tokens for token in tokens):
            break
        is_encoded = vocab.encode(text, add_special=not segments, parse_special=True) == tokens
        if not is_encoded and raw_text(vocab, tokens) != text:
            break
        segments.append(Segment(text, tuple(tokens)))
    return segments
