"""Stack traces of failed attempts, for admins. Old code goes on beside it: it neither writes nor reads the table."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "job_tracebacks",
        sa.Column("job_id", sa.Uuid(), sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("traceback", sa.Text(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("job_tracebacks")
