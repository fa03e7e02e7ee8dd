"""The SQL of jobs: the owner's `commands`, the attempts' `transitions`, the workers' `leases`, and `reading`."""
