"""The ledger's store on SQLite: its connection, and what becomes of its failures."""

import os
import sqlite3
from collections.abc import Callable

from quantized.core.errors import LedgerUnavailable
from quantized.storage.database import DatabaseUnusable
from quantized.storage.records import Changes, Needs, Rejected, Rows, Unreached
from quantized.storage.sqlite import connect, sqlite_path
from quantized.storage.sqlite_books import Haste, SqliteBooks

WRITER_BUSY_SECONDS = 1.0
"""Less than anybody waits for the ledger, so that whoever waits sees more than one try."""


class SqliteLedgerStore:
    """`storage.records.LedgerStore` over one connection, opened when first needed and again after a failure.

    It never creates the file: an empty database in place of a lost one would serve nobody's money.
    """

    def __init__(
        self, url: str, *, owner: str | None = None, busy_seconds: float = WRITER_BUSY_SECONDS
    ) -> None:
        """`owner`: the process that takes holds here. Raises DatabaseUnusable for a URL that cannot work."""
        self._url = url
        self._owner = owner
        self._path = str(sqlite_path(url))
        self._busy_seconds = busy_seconds
        self._connection: sqlite3.Connection | None = None
        self._books: SqliteBooks | None = None
        self._file: tuple[int, int] | None = None

    def transact(
        self, needs: Needs, decide: Callable[[Rows], Changes], *, now_ms: int, durable: bool = True
    ) -> None:
        self._transact(needs, decide, now_ms, "durable" if durable else "plain", self._busy_seconds)

    def transact_at_once(self, needs: Needs, decide: Callable[[Rows], Changes], *, now_ms: int) -> bool:
        if self._connection is None:
            return False
        try:
            self._transact(needs, decide, now_ms, "at once", 0.0)
        except Unreached:
            return False
        return True

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._books = None

    def _transact(
        self,
        needs: Needs,
        decide: Callable[[Rows], Changes],
        now_ms: int,
        haste: Haste,
        busy_seconds: float,
    ) -> None:
        try:
            books = self._open()
        except (sqlite3.Error, DatabaseUnusable, OSError) as error:
            self.close()
            raise Unreached(cause=f"{type(error).__name__}: {error}") from error
        try:
            books.transact(needs, decide, now_ms=now_ms, haste=haste, busy_seconds=busy_seconds)
        except (
            sqlite3.IntegrityError,
            sqlite3.DataError,
            sqlite3.ProgrammingError,
            ValueError,
            OverflowError,
        ) as error:
            raise Rejected(str(error)) from error
        except (sqlite3.Error, OSError) as error:
            # Whoever has begun is not told so any more.
            busy = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            if not (busy and haste == "at once"):
                self.close()
            refusal = Unreached if busy else LedgerUnavailable
            raise refusal(cause=f"{type(error).__name__}: {error}") from error

    def _open(self) -> SqliteBooks:
        # A file that was moved away takes writes as if nothing had happened, and nobody ever sees them again.
        found = os.stat(self._path)  # noqa: PTH116  half the cost of Path.stat, once in every batch
        file = (found.st_dev, found.st_ino)
        if self._connection is not None and file != self._file:
            self.close()
        if self._books is None:
            self._connection = connect(self._url, busy_seconds=self._busy_seconds, create=False)
            # From here on it is the books' to wait.
            self._connection.execute("PRAGMA busy_timeout = 0")
            self._books = SqliteBooks(self._connection, self._owner)
            self._file = file
        return self._books
