"""The processor kit: what third parties import to write a processor of their own."""

from helixnet.processors.base import (
    BlockingContext,
    BlockingInput,
    Input,
    InputRole,
    JobContext,
    NoParams,
    ProcessLimits,
    Processor,
    Reject,
    Retry,
    RetryPolicy,
)

__all__ = [
    "BlockingContext",
    "BlockingInput",
    "Input",
    "InputRole",
    "JobContext",
    "NoParams",
    "ProcessLimits",
    "Processor",
    "Reject",
    "Retry",
    "RetryPolicy",
]
