"""How the program talks with a submitter in another process: a line with a number in, a line with two times out.

Only the standard library: the peers run in an environment of their own. Times are of the machine's monotonic clock,
which all its processes share.
"""

import json
import sys
import time
from collections.abc import Callable

READY = "ready"


def say_ready() -> None:
    """Tell the program that this process is connected and loaded."""
    print(READY, flush=True)


def serve(submit: Callable[[int], None]) -> None:
    """Say `ready`, then submit as many jobs as each line of standard input says, until it ends."""
    say_ready()
    for line in sys.stdin:
        first = time.monotonic()
        submit(int(line))
        print(json.dumps({"first": first, "last": time.monotonic()}), flush=True)
