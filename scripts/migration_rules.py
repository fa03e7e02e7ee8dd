"""What a migration may not do, as the release before is still at work on the tables while it runs."""

import re
from collections.abc import Iterable

# Words of PostgreSQL's grammar, in the order that SQLAlchemy and people write them; names may be quoted or qualified.
NAME = r'(?:"?\w+"?\.)?"?(?P<table>\w+)"?'
ALTER = rf"^ALTER TABLE (?:IF EXISTS )?(?:ONLY )?{NAME}"
# Defaults that are asked for row by row: the whole table is rewritten under an exclusive lock.
VOLATILE = r"\b(?:clock_timestamp|gen_random_uuid|random|nextval|uuidv7|uuidv4|timeofday|statement_timestamp)\s*\("

# Each: what is looked for (of `table`), what it does, and how to do it instead.
RULES = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), harm, instead)
    for pattern, harm, instead in (
        (
            rf"^CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)(?:IF NOT EXISTS )?\S+ ON (?:ONLY )?{NAME}",
            "an index built in a transaction stops every write until it is done",
            "build it CONCURRENTLY in op.get_context().autocommit_block()",
        ),
        (
            rf"{ALTER} ADD (?:COLUMN )?(?!CONSTRAINT)(?!.*\bDEFAULT\b).*\bNOT NULL\b",
            "the release before inserts rows without this column",
            "give it a server default, or let it be NULL",
        ),
        (
            rf"{ALTER} ADD (?:COLUMN )?(?!CONSTRAINT).*\bDEFAULT\b.*{VOLATILE}",
            "a default that differs from row to row rewrites the table under an exclusive lock",
            "add the column without it, set the default for new rows, and fill the old ones in batches",
        ),
        (
            rf"{ALTER} ALTER (?:COLUMN )?\S+ (?:SET DATA )?TYPE\b",
            "a change of type rewrites the table under an exclusive lock, and the release before writes the old one",
            "add a new column, write both, fill it, and drop the old one a release later",
        ),
        (
            rf"{ALTER} ALTER (?:COLUMN )?\S+ SET NOT NULL\b",
            "every row is read under an exclusive lock",
            "add CHECK (… IS NOT NULL) NOT VALID, validate it in a later migration, then set it",
        ),
        (
            rf"{ALTER} RENAME\b",
            "the release before knows the old name only",
            "add the new one, write both, and drop the old one a release later",
        ),
        (
            rf"{ALTER} DROP (?!CONSTRAINT|EXPRESSION|IDENTITY)",
            "the release before may still read this column",
            "drop it a release after the last code that names it, and say so in `contracts`",
        ),
        (
            rf"^DROP TABLE (?:IF EXISTS )?{NAME}",
            "the release before may still read this table",
            "drop it a release after the last code that names it, and say so in `contracts`",
        ),
        (
            rf"{ALTER} ADD (?:CONSTRAINT \S+ )?(?:CHECK|FOREIGN KEY)\b(?!.*NOT VALID)",
            "every row is checked while writes wait",
            "add it NOT VALID, and VALIDATE CONSTRAINT in a later migration",
        ),
        (
            rf"{ALTER} ADD (?:CONSTRAINT \S+ )?(?:UNIQUE|PRIMARY KEY|EXCLUDE)\b(?!.*USING INDEX)",
            "its index is built under an exclusive lock",
            "build a unique index CONCURRENTLY, and add the constraint USING INDEX",
        ),
        (
            rf"^(?:UPDATE(?: ONLY)?|DELETE FROM(?: ONLY)?) {NAME}",
            "all rows that it changes stay locked until the migration ends",
            "let housekeeping do it in batches once the release is in, or read the missing value as the old meaning",
        ),
        (
            rf"^(?:VACUUM(?: \(?FULL\)?)?|CLUSTER|LOCK(?: TABLE)?|REINDEX TABLE|TRUNCATE(?: TABLE)?) {NAME}",
            "the table is locked against everybody",
            "leave it out of migrations",
        ),
    )
)
# What takes a lock that others can't share.
LOCKS = re.compile(
    rf"^(?:ALTER TABLE (?:IF EXISTS )?(?:ONLY )?|DROP TABLE (?:IF EXISTS )?|"
    rf"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)(?:IF NOT EXISTS )?\S+ ON (?:ONLY )?|LOCK (?:TABLE )?){NAME}",
    re.IGNORECASE,
)
DROP_INDEX = re.compile(r"^DROP INDEX (?!CONCURRENTLY)", re.IGNORECASE)


def dangers(statements: Iterable[str], tables: Iterable[str], contracts: Iterable[str] = ()) -> list[str]:
    """What is dangerous in a migration's SQL, a sentence each.

    `tables` are those that were there before it: what it makes itself nobody else uses yet. `contracts` are beginnings
    of statements that it declares to be the last step of expand, migrate, contract.
    """
    existing, declared = set(tables), [_plain(beginning) for beginning in contracts]
    found = []
    for statement in map(_plain, statements):
        if any(statement.lower().startswith(beginning.lower()) for beginning in declared):
            continue
        if DROP_INDEX.search(statement):
            found.append(f"{statement}\n    every reader waits with it for a lock: drop it CONCURRENTLY")
        for pattern, harm, instead in RULES:
            match = pattern.search(statement)
            if match and match["table"] in existing:
                found.append(f"{statement}\n    {harm}: {instead}")
    return found


def entangled(transaction: Iterable[str], tables: Iterable[str]) -> list[str]:
    """What is dangerous in the statements of one transaction together: locks on more than one table that was there.

    Whoever holds the first while it waits for the second can be in a deadlock with the release before, which takes them
    in an order of its own, and PostgreSQL ends either of the two.
    """
    existing = set(tables)
    locked = {match["table"] for statement in map(_plain, transaction) if (match := LOCKS.search(statement))} & existing
    if len(locked) < 2:
        return []
    harm = "it can be in a deadlock with the release before: change one table in a migration"
    return [f"one transaction locks {', '.join(sorted(locked))}\n    {harm}"]


def _plain(statement: str) -> str:
    """A statement in one line, without comments."""
    return " ".join(re.sub(r"--[^\n]*|/\*.*?\*/", " ", statement, flags=re.DOTALL).split())
