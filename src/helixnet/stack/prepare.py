"""What a database needs before the parts start: its newest tables, and in development its first accounts."""

from helixnet import migrations
from helixnet.config import Settings
from helixnet.db import Database
from helixnet.users import service as users


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
