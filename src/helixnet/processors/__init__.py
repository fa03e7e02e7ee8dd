"""The processor kit: what third parties import to write a processor of their own."""

from helixnet.processors.base import (
    Input,
    InputRole,
    JobContext,
    NoParams,
    Processor,
    Reject,
    Retry,
    RetryPolicy,
)

__all__ = ["Input", "InputRole", "JobContext", "NoParams", "Processor", "Reject", "Retry", "RetryPolicy"]
