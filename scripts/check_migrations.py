"""Bring an empty PostgreSQL to the newest migration, and make sure that the models say nothing else.

With `--write MESSAGE`, write the migration that is missing instead.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from alembic.util import CommandError

from helixnet import migrations
from helixnet.stack.servers import Postgres

START_SECONDS = 30


def main(words: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="helix-check-") as folder:
        sockets = Path(folder) / "run"
        sockets.mkdir(mode=0o700)
        server = Postgres(Path(folder) / "data", sockets, durable=False)
        server.initialize()
        process = subprocess.Popen(server.command(), cwd="/", stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + START_SECONDS
            while not server.answers():
                if time.monotonic() > end or process.poll() is not None:
                    raise SystemExit("PostgreSQL did not start")
                time.sleep(0.05)
            migrations.upgrade(server.url)
            if words[:1] == ["--write"]:
                migrations.revision(server.url, " ".join(words[1:]))
                return 0
            migrations.check(server.url)
        except CommandError as error:
            print(error, file=sys.stderr)
            return 1
        finally:
            process.send_signal(server.stop_signal)
            process.wait(20)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
