"""Every metric that HelixNet has; docs/reference/metrics.md says the same for people.

Units are seconds and bytes. Labels have few values by nature: names of queues, processors and routes, kinds, states.
"""

from helixnet.metrics.kinds import Counter, Gauge, Histogram

FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LONG = (0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)

# Every process.
BUILD = Gauge("helix_build_info", "Always 1; the version is in its label.", ("version",), merge="max")
RINGS_SENT = Counter("helix_rings_sent_total", "Rings by what the broker did with them.", ("queue", "outcome"))
STATEMENT_SECONDS = Histogram(
    "helix_database_statement_duration_seconds", "How long SQL statements took, by the way they went.", FAST, ("way",)
)
POOL_WAIT_SECONDS = Histogram(
    "helix_database_pool_wait_seconds", "How long plain statements waited for a connection.", FAST
)
POOL_TIMEOUTS = Counter("helix_database_pool_timeouts_total", "Waits for a database connection that were given up.")
CONNECTIONS = Gauge("helix_database_connections_in_use", "Database connections in use.", ("pool",))
CONNECTIONS_LIMIT = Gauge("helix_database_connections_limit", "Database connections that may be in use.", ("pool",))
STORAGE_OPERATIONS = Counter(
    "helix_storage_operations_total", "Operations on the object store.", ("operation", "outcome")
)
STORAGE_SECONDS = Histogram(
    "helix_storage_operation_duration_seconds", "How long operations on the object store took.", LONG, ("operation",)
)
STORAGE_BYTES = Counter("helix_storage_bytes_total", "Bytes to and from the object store.", ("direction",))

# Web.
HTTP_REQUESTS = Counter("helix_http_requests_total", "Answered requests.", ("method", "route", "code"))
HTTP_SECONDS = Histogram(
    "helix_http_request_duration_seconds", "How long requests took, live streams left out.", FAST, ("method", "route")
)
HTTP_RUNNING = Gauge("helix_http_requests_in_progress", "Requests that are being answered.")
LOOP_LAG_SECONDS = Histogram(
    "helix_event_loop_lag_seconds", "How much later than asked for the event loop came to a call.", FAST
)
JOBS_SUBMITTED = Counter("helix_jobs_submitted_total", "Jobs that entered the ledger.", ("queue",))

# Worker.
RINGS_HEARD = Counter(
    "helix_rings_heard_total", "Rings that a worker heard; spare ones found no work.", ("queue", "outcome")
)
LOOKS = Counter(
    "helix_worker_looks_total", "Looks for work without a ring; spare ones found none.", ("queue", "outcome")
)
JOBS_CLAIMED = Counter("helix_jobs_claimed_total", "Attempts that were begun.", ("queue",))
WAIT_SECONDS = Histogram(
    "helix_job_wait_seconds", "How long jobs had been due when they were claimed.", LONG, ("queue",)
)
ATTEMPTS = Counter("helix_job_attempts_total", "Attempts that ended, by how.", ("queue", "processor", "outcome"))
ATTEMPT_SECONDS = Histogram(
    "helix_job_attempt_duration_seconds", "How long attempts ran.", LONG, ("queue", "processor")
)
RETRIES = Counter(
    "helix_job_retries_total", "Failed attempts after which the job is tried again.", ("processor", "kind")
)
FAILURES = Counter("helix_job_failures_total", "Failed attempts, by the kind of failure.", ("processor", "kind"))
UNRECORDED = Counter("helix_job_outcomes_unrecorded_total", "Outcomes that could not be written down.")
HEARTBEATS = Counter("helix_worker_heartbeats_total", "Heartbeats by what became of them.", ("outcome",))
PROCESSES = Gauge("helix_worker_processes", "Worker processes that hold a lease.")

# Beat.
QUEUE_WAITING = Gauge("helix_queue_waiting_jobs", "Jobs that are due, counted up to a cap.", ("queue",), merge="max")
QUEUE_OLDEST = Gauge(
    "helix_queue_oldest_waiting_seconds", "How long the oldest due job has waited.", ("queue",), merge="max"
)
QUEUE_RUNNING = Gauge("helix_queue_running_jobs", "Jobs that run.", ("queue",), merge="max")
QUEUE_WORKERS = Gauge("helix_queue_worker_processes", "Living worker processes that serve it.", ("queue",), merge="max")
QUEUE_PAUSED = Gauge("helix_queue_paused", "1 while nothing is started from it.", ("queue",), merge="max")
JOBS = Gauge(
    "helix_jobs",
    "Jobs by state: exact up to a cap for those that wait or run, an estimate else.",
    ("status",),
    merge="max",
)
SURVEY_SECONDS = Histogram("helix_beat_survey_duration_seconds", "How long the look at the ledger took.", FAST)
BEAT_STEP_SECONDS = Histogram(
    "helix_beat_step_duration_seconds", "How long a step of the housekeeping took.", FAST, ("step",)
)
BEAT_FAILURES = Counter("helix_beat_step_failures_total", "Steps of the housekeeping that were put off.", ("step",))
BEAT_LAST = Gauge("helix_beat_last_round_timestamp_seconds", "When the last round of housekeeping ended.", merge="max")
REAPED = Counter("helix_jobs_reaped_total", "Attempts taken from lost workers, by the job's state after.", ("status",))
RIPENED = Counter("helix_jobs_ripened_total", "Jobs put in line because their start time had come.")
EXPIRED = Counter("helix_jobs_expired_total", "Jobs deleted because they had ended long ago.")
PURGED = Counter("helix_objects_purged_total", "Objects deleted because they belonged to nobody.")
OLDEST_TRANSACTION = Gauge(
    "helix_database_oldest_transaction_seconds", "How long the oldest transaction has been open.", merge="max"
)
DATABASE_BYTES = Gauge("helix_database_size_bytes", "The size of the database.", merge="max")
DISK_BYTES = Gauge("helix_disk_size_bytes", "The size of the disk below.", ("place",), merge="max")
DISK_FREE_BYTES = Gauge("helix_disk_free_bytes", "What is left of it.", ("place",), merge="max")
