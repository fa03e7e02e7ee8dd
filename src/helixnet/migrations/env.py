"""Alembic's entry: runs the migrations on the connection that `helixnet.migrations` opened."""

from alembic import context

from helixnet.migrations import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata(),
    compare_type=True,
    compare_server_default=False,
    # Locks are held for one migration, not for all; and one may step out of its transaction to build an index.
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
