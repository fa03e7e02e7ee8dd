"""The walls around one isolated process, as its processor's limits ask for them and as far as the kernel has them."""

import logging
from collections.abc import Iterable

from helixnet.processors.base import ProcessLimits, Processor
from helixnet.walls import kernel, landlock, missing, seccomp
from helixnet.worker.isolation.places import places

logger = logging.getLogger("helix.worker")


def tell_missing(processors: Iterable[Processor]) -> None:
    """Say in the log which walls this kernel does not have, if any of the processors is to be behind them."""
    if any(processor.isolation == "process" for processor in processors):
        for gap in missing():
            logger.warning("isolated processors have a wall less: %s", gap)


def put_up(limits: ProcessLimits, scratch: str, inputs: list[str]) -> int | None:
    """Put this process, which has one thread, behind its walls. `inputs` are the files that it may read.

    Answers the descriptor of a listener, which must agree to each process that is to start; None when it needs nobody's
    consent, or may start none. What the kernel lacks is left out: `helixnet.walls.missing` tells.
    """
    kernel.gain_nothing()
    version = landlock.abi()
    if version:
        allowed = places(scratch, inputs, network=limits.network, programs=limits.processes != 0)
        landlock.apply(allowed, version, network=limits.network)
    # Root reads what belongs to others, Python's libraries perhaps among it; Landlock still says which.
    kernel.drop_capabilities(kept=1 << kernel.CAP_DAC_READ_SEARCH if version else 0)
    if not seccomp.is_there():
        return None
    if limits.processes == 0:
        processes = "none"
    else:
        processes = "any" if limits.processes is None or not seccomp.can_ask() else "asked"
    return seccomp.apply(
        seccomp.Filter(
            network=limits.network,
            processes=processes,  # type: ignore[arg-type]
            signals_elsewhere=version >= landlock.SCOPES_ABI,
            truncation=version >= landlock.TRUNCATION_ABI,
        )
    )
