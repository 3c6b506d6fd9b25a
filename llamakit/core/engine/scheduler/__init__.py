"""Many requests at once on one context; see `scheduler.py`.

Here is what its callers ask and are told, which another process may do: it imports nothing that computes.
"""

from __future__ import annotations

from llamakit.core.engine.scheduler.errors import QueueFull, SchedulerClosed
from llamakit.core.engine.scheduler.event import (
    Cancelled,
    Embedded,
    Ended,
    Event,
    Failed,
    Prefilled,
    PromptScores,
    Score,
    ScoredPiece,
)
from llamakit.core.engine.scheduler.job import EmbeddingJob, Job, JobCancelled, Usage
from llamakit.core.engine.scheduler.request import EmbeddingRequest, Request

__all__ = [
    "Request",
    "EmbeddingRequest",
    "Job",
    "EmbeddingJob",
    "Usage",
    "Event",
    "ScoredPiece",
    "PromptScores",
    "Score",
    "Prefilled",
    "Embedded",
    "Ended",
    "Failed",
    "Cancelled",
    "JobCancelled",
    "QueueFull",
    "SchedulerClosed",
]
