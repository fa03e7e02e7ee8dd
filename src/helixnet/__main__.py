"""`python -m helixnet` is the command `helix`."""

from helixnet.cli import main

main()
