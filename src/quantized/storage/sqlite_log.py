"""SQLite's log, the file beside the database that ends in `-wal`, and how it is synced.

SQLite would sync the log itself, inside the commit and with the database locked. Here a commit only hands
its pages to the operating system, which is enough to outlive the process, and whoever needs more calls `sync`
afterwards, from another thread. Both are sound because of what the log is: a commit is in it whole or not at
all; it is read up to its first gap; and SQLite syncs it before it folds it into the database, and the
database before it begins the log anew. So, once the log's pages are on the disk, everything that was
committed before is there, in the log or in the database.

The log has no locks of SQLite's: those are on the database and on `-shm`, and closing a second descriptor of
either would drop them all.
"""

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

Sync = Callable[[int], None]

datasync: Sync = getattr(os, "fdatasync", os.fsync)

_BLOCK_BYTES = 1 << 20


class Log:
    """An open database's log. Stays usable for whoever holds it when the database is closed, or opened anew
    beside it, and is to be kept for as long as it `serves`: of a sync that failed, whoever asked for it, the
    system tells once each descriptor that was open then. One that is opened later never hears of it."""

    def __init__(self, database: Path, sync: Sync) -> None:
        """Raises OSError."""
        self._sync = sync
        log = _log_of(database)
        _sync_folder(log.parent)
        self._descriptor = os.open(log, os.O_RDWR | os.O_CLOEXEC)
        # What failed before this descriptor was opened it never hears of: what is there counts as not synced.
        self._damaged = os.fstat(self._descriptor).st_size > 0
        """Whether a sync may have left something out that has not been written again since."""

    def __del__(self) -> None:
        # By count of references: another thread may be in the middle of a sync.
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)

    def serves(self, database: Path) -> bool:
        """Whether a database that was opened anew still has this log. Whoever closes it last removes the log,
        and only when all of it is in the database. Raises OSError."""
        return os.path.samestat(os.fstat(self._descriptor), _log_of(database).stat())

    def sync(self, reconnect: Callable[[], sqlite3.Connection]) -> None:
        """Raises OSError, sqlite3.Error, and whatever `reconnect` does."""
        if self._damaged:
            self._rescue(reconnect)
            return
        try:
            self._sync(self._descriptor)
        except OSError:
            self._damaged = True
            raise

    def _rescue(self, reconnect: Callable[[], sqlite3.Connection]) -> None:
        # After a failed sync the system takes what it could not write for written, and the next sync succeeds
        # without it. But it can still be read, and so be written again. (To fold it in would help less: a
        # reader may be in the way; and should the power fail, what is left of the log before the gap would
        # hide what is newer in the database.)
        connection = reconnect()
        try:
            # Only who has the right to write writes to the log, or begins it anew.
            connection.execute("BEGIN IMMEDIATE")
            _write_again(self._descriptor)
        finally:
            connection.close()
        self._sync(self._descriptor)
        self._damaged = False


def _write_again(descriptor: int) -> None:
    place = 0
    while block := os.pread(descriptor, _BLOCK_BYTES, place):
        place += os.pwrite(descriptor, block, place)


def _log_of(database: Path) -> Path:
    # SQLite resolves a link to the database, and has its log beside the file itself.
    return Path(f"{database.resolve()}-wal")


def _sync_folder(folder: Path) -> None:
    # The log may have been made a moment ago, and a file without a name is lost. Like SQLite, we do without
    # where the folder may not be read, or the file system knows no such thing.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
