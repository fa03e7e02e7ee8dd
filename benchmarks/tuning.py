"""Which settings make the floors fastest here: a floor that could be faster would be no floor."""

from rich.console import Console

from benchmarks.contestants import BATCH_SECONDS, wait_done
from benchmarks.floors.contestant import CeleryFloor
from benchmarks.ground import Ground
from benchmarks.measure.options import Options

PREFETCH = (1, 4, 16, 64, 256, 1024)


def tune(ground: Ground, options: Options, console: Console) -> None:
    """Print the rate of each floor on each broker for several prefetch multipliers, the median of the runs."""
    for name in options.brokers:
        broker = ground.broker(name)
        if broker is None:
            continue
        for recorded in (False, True):
            rates: dict[int, list[float]] = {prefetch: [] for prefetch in PREFETCH}
            for _ in range(options.runs):
                for prefetch, values in rates.items():
                    values.append(_rate(CeleryFloor(ground, 2000, broker, recorded=recorded, prefetch=prefetch)))
            floor = CeleryFloor(ground, 0, broker, recorded=recorded)
            for prefetch, values in rates.items():
                middle = sorted(values)[len(values) // 2]
                spread = f"{min(values):,.0f} – {max(values):,.0f}"
                console.print(f"{floor.title}, prefetch {prefetch}: {middle:,.0f} jobs/s ({spread})")


def _rate(floor: CeleryFloor) -> float:
    floor.start()
    try:
        floor.submit(200)
        wait_done(floor, BATCH_SECONDS)
        submitted = floor.submit(floor.jobs)
        ended = wait_done(floor, BATCH_SECONDS)
        return floor.jobs / (ended - submitted.first) if ended is not None else 0.0
    finally:
        floor.stop()
