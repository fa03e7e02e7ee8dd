"""What jobs look like on the wire, for the API and the client alike."""

from helixnet.jobs.schemas.batches import BatchAccepted, BatchPage, BatchView, RejectedLine
from helixnet.jobs.schemas.failures import FailureKind, FailureList
from helixnet.jobs.schemas.jobs import (
    EventPage,
    EventView,
    JobAccepted,
    JobError,
    JobPage,
    JobSubmission,
    JobSummary,
    JobView,
    UploadAccepted,
    Waiting,
)
from helixnet.jobs.schemas.queues import QueueChange, QueueList, QueueView
from helixnet.jobs.schemas.selections import Changed, JobSelection, Matched

__all__ = [
    "BatchAccepted",
    "BatchPage",
    "BatchView",
    "Changed",
    "EventPage",
    "EventView",
    "FailureKind",
    "FailureList",
    "JobAccepted",
    "JobError",
    "JobPage",
    "JobSelection",
    "JobSubmission",
    "JobSummary",
    "JobView",
    "Matched",
    "QueueChange",
    "QueueList",
    "QueueView",
    "RejectedLine",
    "UploadAccepted",
    "Waiting",
]
