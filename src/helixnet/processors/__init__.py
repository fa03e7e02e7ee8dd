"""The processor kit: what third parties import to write a processor of their own."""

from helixnet.processors.base import (
    InputRole,
    NoParams,
    Output,
    OverLimit,
    ProcessLimits,
    Processor,
    Reject,
    Retry,
    RetryPolicy,
    UpstreamFailed,
)
from helixnet.processors.context import BlockingContext, BlockingInput, Input, JobContext

__all__ = [
    "BlockingContext",
    "BlockingInput",
    "Input",
    "InputRole",
    "JobContext",
    "NoParams",
    "Output",
    "OverLimit",
    "ProcessLimits",
    "Processor",
    "Reject",
    "Retry",
    "RetryPolicy",
    "UpstreamFailed",
]
