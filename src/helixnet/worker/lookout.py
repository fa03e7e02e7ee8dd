"""The lookout: a worker process that has heard no ring for a while looks for work itself.

The broker may be away, frozen, or reached by nobody; its rings only say sooner what the ledger says in any case.
"""

import random
import threading
from collections.abc import Callable

LONGEST_STRETCH = 1.5


class Lookout(threading.Thread):
    """Calls `look` once `quiet_for` says that nothing was heard for `seconds`, and so on while it finds work.

    `look` answers whether it found any. The wait is stretched at random, so that the processes of a machine do not all
    look at the same time.
    """

    def __init__(self, seconds: float, quiet_for: Callable[[], float], look: Callable[[], bool]) -> None:
        super().__init__(name="lookout", daemon=True)
        self._seconds = seconds
        self._quiet_for = quiet_for
        self._look = look
        self._ending = threading.Event()

    def end(self) -> None:
        """End the thread, once what it found has run or was handed back."""
        self._ending.set()
        if self.is_alive():
            self.join()

    def run(self) -> None:
        found = False
        while not self._ending.is_set():
            patience = self._seconds * random.uniform(1, LONGEST_STRETCH)  # noqa: S311 - spreads load, guards nothing
            left = patience - self._quiet_for()
            if left > 0 and not found:
                self._ending.wait(left)
            else:
                found = self._look()
