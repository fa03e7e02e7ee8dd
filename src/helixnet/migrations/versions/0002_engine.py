"""The engine: lines by owner, limits of queues, batches, kinds of failures."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

LINE = ["queue", "priority", "owner_id", "available_at", "id"]


def upgrade() -> None:
    # Each table by itself: a lock that is held while another is waited for makes deadlocks with whoever is at work.
    with op.get_context().autocommit_block():
        op.add_column("queues", sa.Column("running_limit", sa.Integer(), nullable=True), if_not_exists=True)
        op.add_column("queues", sa.Column("owner_running_limit", sa.Integer(), nullable=True), if_not_exists=True)
        pace = sa.Column("pace", sa.JSON(), server_default="{}", nullable=False)
        op.add_column("workers", pace, if_not_exists=True)
    op.create_table(
        "batches",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("owner_id", sa.Uuid(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("batches_pkey")),
    )
    op.create_index(op.f("batches_owner_id_id_idx"), "batches", ["owner_id", "id"])
    op.add_column("jobs", sa.Column("batch_id", sa.Uuid(), nullable=True))
    op.add_column("jobs", sa.Column("due", sa.Boolean(), server_default="true", nullable=False))
    op.add_column("jobs", sa.Column("fingerprint", sa.Text(), nullable=True))
    op.execute("UPDATE jobs SET due = false WHERE status = 'PENDING' AND available_at > now()")
    op.create_index("jobs_line_idx", "jobs", LINE, postgresql_where=sa.text("status = 'PENDING' AND due"))
    op.create_index(
        "jobs_later_idx", "jobs", ["available_at"], postgresql_where=sa.text("status = 'PENDING' AND NOT due")
    )
    op.create_index(
        "jobs_ended_idx",
        "jobs",
        ["owner_id", "status", "id"],
        postgresql_where=sa.text("status IN ('FAILED', 'CANCELLED')"),
    )
    op.create_index(
        "jobs_failed_idx", "jobs", ["owner_id", "fingerprint", "id"], postgresql_where=sa.text("status = 'FAILED'")
    )
    op.create_index("jobs_batch_idx", "jobs", ["batch_id", "status"], postgresql_where=sa.text("batch_id IS NOT NULL"))
    op.drop_index("jobs_due_idx", table_name="jobs", postgresql_where=sa.text("status = 'PENDING'"))
    op.drop_index("jobs_owner_status_idx", table_name="jobs")


def downgrade() -> None:
    op.create_index("jobs_owner_status_idx", "jobs", ["owner_id", "status", "id"])
    op.create_index(
        "jobs_due_idx",
        "jobs",
        ["queue", "priority", "available_at", "id"],
        postgresql_where=sa.text("status = 'PENDING'"),
    )
    for index in ("jobs_batch_idx", "jobs_failed_idx", "jobs_ended_idx", "jobs_later_idx", "jobs_line_idx"):
        op.drop_index(index, table_name="jobs")
    for column in ("fingerprint", "due", "batch_id"):
        op.drop_column("jobs", column)
    op.drop_column("workers", "pace")
    op.drop_column("queues", "owner_running_limit")
    op.drop_column("queues", "running_limit")
    op.drop_index(op.f("batches_owner_id_id_idx"), table_name="batches")
    op.drop_table("batches")
