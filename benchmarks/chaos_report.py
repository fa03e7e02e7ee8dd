"""What a run of chaos found: tables for people, JSON for machines."""

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from uuid import UUID

import orjson
from rich.console import Console
from rich.table import Table

from benchmarks.chaos_checks import JobRow, Violation
from benchmarks.chaos_faults import Fault
from benchmarks.chaos_load import Promise

SHOWN_OF_A_RULE = 5
KEPT_OF_A_RULE = 200


@dataclass
class Report:
    """One run. Times are in seconds."""

    broker: str
    seed: int
    seconds: float
    faults: list[Fault] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    accepted: dict[str, Counter[str]] = field(default_factory=dict)  # kind -> final state -> jobs
    attempts: Counter[int] = field(default_factory=Counter)  # attempts that a job took -> jobs
    unanswered_jobs: int = 0  # in the database, but their 201 never came
    longest_answer: float = 0.0
    longest_standstill: float = 0.0
    recovery: float = 0.0
    purge: float = 0.0
    purged_prefixes: int = 0
    seen_processes: int = 0
    violations: list[Violation] = field(default_factory=list)

    def count_jobs(self, rows: dict[UUID, JobRow], promises: list[Promise]) -> None:
        """Sort the jobs by kind, final state and attempts."""
        accepted: dict[str, Counter[str]] = defaultdict(Counter)
        for promise in promises:
            row = rows.get(promise.job_id)
            accepted[promise.kind][row.status if row else "LOST"] += 1
        self.accepted = dict(accepted)
        self.attempts = Counter(row.attempt for row in rows.values())
        self.unanswered_jobs = len(rows.keys() - {promise.job_id for promise in promises})

    def write_json(self, file: Path) -> None:
        """The whole report; of each rule's violations, the first few hundred."""
        shown = [violation for found in self._by_rule().values() for violation in found[:KEPT_OF_A_RULE]]
        values = {
            "broker": self.broker,
            "seed": self.seed,
            "seconds": self.seconds,
            "faults": {"total": len(self.faults), **Counter(fault.kind for fault in self.faults)},
            "requests": dict(self.requests),
            "accepted": {kind: dict(states) for kind, states in self.accepted.items()},
            "attempts": {str(attempt): jobs for attempt, jobs in sorted(self.attempts.items())},
            "unanswered_jobs": self.unanswered_jobs,
            "longest_answer": round(self.longest_answer, 3),
            "longest_standstill": round(self.longest_standstill, 3),
            "recovery": round(self.recovery, 3),
            "purge": round(self.purge, 3),
            "purged_prefixes": self.purged_prefixes,
            "seen_processes": self.seen_processes,
            "violations": len(self.violations),
            "violations_found": [asdict(violation) for violation in shown],
            "story": [asdict(fault) for fault in self.faults],
        }
        file.write_bytes(orjson.dumps(values, option=orjson.OPT_INDENT_2) + b"\n")

    def show(self, console: Console) -> None:
        """Print it for people."""
        self._show_faults(console)
        self._show_jobs(console)
        self._show_times(console)
        self._show_violations(console)

    def _show_faults(self, console: Console) -> None:
        console.print(f"\n[bold]{len(self.faults)} faults[/bold]")
        table = _table("what", "times")
        for kind, times in Counter(fault.kind for fault in self.faults).most_common():
            table.add_row(kind, str(times))
        console.print(table)
        requests = ", ".join(f"{times} {outcome}" for outcome, times in self.requests.most_common())
        console.print(f"requests: {requests}")

    def _show_jobs(self, console: Console) -> None:
        total = sum(sum(states.values()) for states in self.accepted.values())
        states = sorted({state for counted in self.accepted.values() for state in counted})
        console.print(f"\n[bold]{total} jobs accepted[/bold]")
        table = _table("kind", *states)
        for kind, counted in sorted(self.accepted.items()):
            table.add_row(kind, *(str(counted[state] or "") for state in states))
        console.print(table)
        console.print(f"{self.unanswered_jobs} more are in the database whose 201 never arrived")
        console.print("\n[bold]Attempts that jobs took[/bold]")
        table = _table("attempts", "jobs")
        for attempts, jobs in sorted(self.attempts.items()):
            table.add_row(str(attempts), str(jobs))
        console.print(table)

    def _show_times(self, console: Console) -> None:
        console.print("\n[bold]Times[/bold]")
        console.print(f"longest answered submission: {self.longest_answer:.1f} s")
        console.print(f"longest time without any job completed: {self.longest_standstill:.1f} s")
        console.print(f"from the last fault until every job had ended: {self.recovery:.1f} s")
        console.print(f"until {self.purged_prefixes} prefixes were purged of orphans: {self.purge:.1f} s more")

    def _show_violations(self, console: Console) -> None:
        console.print()
        for rule, found in self._by_rule().items():
            console.print(f"[red]{len(found)} × {rule}[/red]")
            for violation in found[:SHOWN_OF_A_RULE]:
                console.print(f"  {violation.found}", markup=False, soft_wrap=True)
        colour = "red" if self.violations else "green"
        console.print(
            f"[bold {colour}]{len(self.violations)} violations[/] in {self.seconds:g} s on {self.broker}, "
            f"seed {self.seed}"
        )

    def _by_rule(self) -> dict[str, list[Violation]]:
        found: dict[str, list[Violation]] = defaultdict(list)
        for violation in self.violations:
            found[violation.rule].append(violation)
        return found


def _table(first: str, *numbers: str) -> Table:
    table = Table(first)
    for column in numbers:
        table.add_column(column, justify="right")
    return table
