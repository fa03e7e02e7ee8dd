"""The work itself: Celery carries the rings, the ledger says what to run."""
