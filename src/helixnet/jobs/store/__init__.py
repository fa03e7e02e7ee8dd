"""The SQL of jobs: `transitions` changes states, `leases` keeps the workers, `reading` answers questions."""
