"""Alembic's entry: runs the migrations on the connection that `helixnet.migrations` opened."""

from alembic import context

from helixnet.migrations import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata(), compare_type=True, compare_server_default=False)
with context.begin_transaction():
    context.run_migrations()
