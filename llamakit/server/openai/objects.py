"""What OpenAI's objects have in common."""

from __future__ import annotations

import secrets
import string
import time
from typing import Any

from llamakit import __version__
from llamakit.server.models.served import Served

LETTERS = string.ascii_letters + string.digits
FINGERPRINT = f"b{__version__}-llamakit"  # llama-server's begin with b and a number


def new_id(prefix: str, n: int = 32) -> str:
    return prefix + "".join(secrets.choice(LETTERS) for _ in range(n))


def envelope(served: Served, kind: str, id_prefix: str) -> dict[str, Any]:
    """The members of an answer, or of each chunk of one, that are always the same."""
    return {
        "id": new_id(id_prefix),
        "object": kind,
        "created": int(time.time()),
        "model": served.name,
        "system_fingerprint": FINGERPRINT,
    }
