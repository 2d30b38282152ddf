"""The ledger's store on SQLite: its connection, what makes it durable, and what becomes of its failures."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from quantized.core.errors import LedgerUnavailable
from quantized.storage.database import DatabaseUnusable
from quantized.storage.records import Changes, Needs, Rejected, Rows, Unconfirmed, Unreached
from quantized.storage.sqlite import connect, sqlite_path
from quantized.storage.sqlite_books import SqliteBooks
from quantized.storage.sqlite_log import Log, Sync, datasync

WRITER_BUSY_SECONDS = 1.0
"""Less than anybody waits for the ledger, so that whoever waits sees more than one try."""

_FOLD_AT = 1_000
"""Pages that the log may grow by before it is folded in: what SQLite does by default."""


class SqliteLedgerStore:
    """`storage.records.LedgerStore` over one connection, opened when first needed and again after a failure.

    It never creates the file: an empty database in place of a lost one would serve nobody's money. While one
    thread syncs what it has committed, another may commit.
    """

    def __init__(
        self,
        url: str,
        *,
        owner: str | None = None,
        busy_seconds: float = WRITER_BUSY_SECONDS,
        sync: Sync = datasync,
    ) -> None:
        """`owner`: the process that takes holds here. `sync` makes durable what was written to a file through
        any descriptor. Raises DatabaseUnusable for a URL that cannot work."""
        self._url = url
        self._owner = owner
        self._path = str(sqlite_path(url))
        self._busy_seconds = busy_seconds
        self._sync = sync
        self._in_use = Lock()
        self._connection: sqlite3.Connection | None = None
        self._books: SqliteBooks | None = None
        self._log: Log | None = None
        self._file: tuple[int, int] | None = None

    def transact(
        self,
        needs: Needs,
        decide: Callable[[Rows], Changes],
        *,
        now_ms: int,
        durable: bool = True,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        with self._in_use:
            books = self._open()
            if books.pages >= _FOLD_AT:
                self._fold(books)
            self._transact(books, needs, decide, now_ms, self._busy_seconds)
            committed()
            log = self._log
        if durable and log is not None:
            try:
                log.sync(self._connect)
            except (sqlite3.Error, DatabaseUnusable, OSError) as error:
                raise Unconfirmed(cause=f"{type(error).__name__}: {error}") from error

    def transact_at_once(self, needs: Needs, decide: Callable[[Rows], Changes], *, now_ms: int) -> bool:
        if not self._in_use.acquire(blocking=False):
            return False
        try:
            # To begin the log anew, as the first commit does after it was folded in, SQLite syncs.
            books = self._books
            if books is None or not 0 < books.pages < _FOLD_AT or self._found() != self._file:
                return False
            self._transact(books, needs, decide, now_ms, 0.0)
        except (Unreached, OSError):
            return False
        finally:
            self._in_use.release()
        return True

    def close(self) -> None:
        with self._in_use:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._books = None

    def _fold(self, books: SqliteBooks) -> None:
        try:
            books.fold()
        except sqlite3.Error as error:
            self._close()
            raise Unreached(cause=f"{type(error).__name__}: {error}") from error

    def _transact(
        self,
        books: SqliteBooks,
        needs: Needs,
        decide: Callable[[Rows], Changes],
        now_ms: int,
        busy_seconds: float,
    ) -> None:
        try:
            books.transact(needs, decide, now_ms=now_ms, busy_seconds=busy_seconds)
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
            if not busy:
                self._close()
            refusal = Unreached if busy else LedgerUnavailable
            raise refusal(cause=f"{type(error).__name__}: {error}") from error

    def _open(self) -> SqliteBooks:
        """Raises Unreached."""
        try:
            # A file that was moved away takes writes as if nothing had happened, and nobody ever sees them
            # again.
            file = self._found()
            if file != self._file:
                self._close()
            if self._books is None:
                self._connection = self._connect()
                books = SqliteBooks(self._connection, self._owner)
                path = Path(self._path)
                if self._log is None or not self._log.serves(path):
                    self._log = Log(path, self._sync)
                self._books, self._file = books, file
        except (sqlite3.Error, DatabaseUnusable, OSError) as error:
            self._close()
            raise Unreached(cause=f"{type(error).__name__}: {error}") from error
        return self._books

    def _found(self) -> tuple[int, int]:
        found = os.stat(self._path)  # noqa: PTH116  half the cost of Path.stat, once in every batch
        return found.st_dev, found.st_ino

    def _connect(self) -> sqlite3.Connection:
        return connect(self._url, busy_seconds=self._busy_seconds, create=False)
