"""Many requests at once on one context; see `scheduler.py`."""

from __future__ import annotations

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
from llamakit.core.engine.scheduler.scheduler import QueueFull, Scheduler, SchedulerClosed

__all__ = [
    "Scheduler",
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
