"""Many requests at once on one context; see `scheduler.py`."""

from __future__ import annotations

from llamakit.core.engine.scheduler.event import Cancelled, Ended, Event, Failed, ScoredPiece
from llamakit.core.engine.scheduler.job import Job
from llamakit.core.engine.scheduler.request import Request
from llamakit.core.engine.scheduler.scheduler import QueueFull, Scheduler, SchedulerClosed

__all__ = [
    "Scheduler",
    "Request",
    "Job",
    "Event",
    "ScoredPiece",
    "Ended",
    "Failed",
    "Cancelled",
    "QueueFull",
    "SchedulerClosed",
]
