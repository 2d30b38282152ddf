"""What a commit of the ledger outlives: each transaction syncs the disk, or does not, as it was asked to."""

import sqlite3
from contextlib import closing
from pathlib import Path

from quantized.storage.migrate import migrate
from quantized.storage.records import Changes, Needs, Rows
from quantized.storage.sqlite import connect
from quantized.storage.sqlite_books import SqliteBooks

FULL, NORMAL = 2, 1


def test_each_transaction_has_the_durability_that_it_asked_for(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/test.db"
    migrate(url)
    with closing(connect(url)) as connection:
        books = SqliteBooks(connection, None)
        asked = [True, False, True, True, False, False, True]
        found = [_synchronous(connection, books, durable=durable) for durable in asked]
    assert found == [FULL if durable else NORMAL for durable in asked]


def _synchronous(connection: sqlite3.Connection, books: SqliteBooks, *, durable: bool) -> int:
    """What SQLite says, inside a transaction, about how it will commit it."""
    found: list[int] = []

    def decide(_: Rows) -> Changes:
        found.extend(connection.execute("PRAGMA synchronous").fetchone())
        return Changes()

    books.transact(Needs(), decide, now_ms=0, haste="durable" if durable else "plain")
    return found[0]
