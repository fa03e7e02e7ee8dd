"""What database and bucket need before the parts start: the newest tables, and in development the first accounts."""

import asyncio

from helixnet import migrations
from helixnet.blobs import bucket
from helixnet.config import Settings
from helixnet.db import Database
from helixnet.users import service as users


async def prepare(settings: Settings) -> None:
    """Migrations, bucket and accounts; any number of processes may do so at once, and one of them does."""
    await asyncio.to_thread(migrate, settings.database_url.get_secret_value())
    await bucket.make(settings)
    await seed(settings)


def migrate(database_url: str) -> None:
    """Bring the database to the newest migration."""
    migrations.upgrade(database_url)


async def seed(settings: Settings) -> None:
    """Make the development accounts; in production there are none to make."""
    if not settings.development:
        return
    database = Database(settings.database_url.get_secret_value(), 1, "helixnet seed")
    try:
        async with database.transaction() as session:
            await users.seed(session)
    finally:
        await database.close()
