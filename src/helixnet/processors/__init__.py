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
from helixnet.processors.metering import Answers, Call, Meter, MeteredContext, Spending

__all__ = [
    "Answers",
    "BlockingContext",
    "BlockingInput",
    "Call",
    "Input",
    "InputRole",
    "JobContext",
    "Meter",
    "MeteredContext",
    "NoParams",
    "Output",
    "OverLimit",
    "ProcessLimits",
    "Processor",
    "Reject",
    "Retry",
    "RetryPolicy",
    "Spending",
    "UpstreamFailed",
]
