"""Jobs keep the trace that they were submitted in. Old code goes on beside it: the column may stay empty."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("jobs", sa.Column("trace", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("jobs", "trace")
