"""The states of a job and the steps between them. docs/explanation/states.md draws the same picture.

PENDING ──claim──▶ IN_PROGRESS ──finish──▶ COMPLETED | FAILED
   ▲  │                │ │
   │  └──cancel──▶ CANCELLED ◀──cancel, seen by the worker
   └──retry later, reap, hand back──┘
FAILED | CANCELLED ──retry (by the user)──▶ PENDING
"""

from enum import StrEnum


class Status(StrEnum):
    PENDING = "PENDING"
    IN_PROGRESS = "IN_PROGRESS"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


FINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})

TRANSITIONS: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.IN_PROGRESS, Status.CANCELLED}),
    Status.IN_PROGRESS: frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED, Status.PENDING}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset({Status.PENDING}),
    Status.CANCELLED: frozenset({Status.PENDING}),
}

LOWEST_PRIORITY, DEFAULT_PRIORITY, HIGHEST_PRIORITY = 0, 4, 9
