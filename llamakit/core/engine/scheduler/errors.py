"""Why a scheduler takes no request."""

from __future__ import annotations

from llamakit.errors import LlamakitError


class QueueFull(LlamakitError):
    """As many requests wait as may; a later try can succeed."""


class SchedulerClosed(LlamakitError):
    """No more requests are taken."""
