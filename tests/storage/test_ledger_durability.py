"""What SQLite's log is left with: it does not grow, and whoever syncs it takes no lock of SQLite's away."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from quantized.core.ports import HoldOrder
from quantized.storage.migrate import migrate
from quantized.storage.records import Changes, Needs, Rows
from quantized.storage.sqlite import connect, sqlite_path
from quantized.storage.sqlite_books import SqliteBooks
from quantized.storage.sqlite_ledger import SqliteLedgerStore


@pytest.fixture
def url(tmp_path: Path) -> str:
    url = f"sqlite:///{tmp_path}/test.db"
    migrate(url)
    with closing(connect(url)) as connection:
        connection.execute("INSERT INTO institution VALUES ('i', 'i', 'I', 0)")
        connection.execute(
            "INSERT INTO license_type (id, institution_id, alias, name, created_at, updated_at)"
            " VALUES ('t', 'i', 't', 'T', 0, 0)"
        )
        connection.execute(
            "INSERT INTO license (id, license_type_id, name, unlimited, created_at)"
            " VALUES ('l', 't', 'L', true, 0)"
        )
    return url


@pytest.fixture
def store(url: str) -> Iterator[SqliteLedgerStore]:
    with closing(SqliteLedgerStore(url, busy_seconds=0.02)) as store:
        yield store


def take(store: SqliteLedgerStore, hold_id: str, *, durable: bool = False) -> None:
    """A hold of nothing."""
    store.transact(needs(hold_id), Deciding(hold_id), now_ms=0, durable=durable)


def take_at_once(store: SqliteLedgerStore, hold_id: str) -> bool:
    return store.transact_at_once(needs(hold_id), Deciding(hold_id), now_ms=0)


def needs(hold_id: str) -> Needs:
    return Needs([hold_id], ["l"], new_hold_ids=[hold_id])


class Deciding:
    def __init__(self, hold_id: str) -> None:
        self.order = HoldOrder(hold_id, "l", 0, 0, 0, 0, "req", "key", "demo", "m")

    def __call__(self, _: Rows) -> Changes:
        return Changes(holds=[(self.order, 0)])


def holds(url: str) -> int:
    with closing(connect(url)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM hold").fetchone()
    return int(count)


def test_the_log_is_folded_in_where_there_is_time_and_does_not_grow(
    store: SqliteLedgerStore, url: str
) -> None:
    log = sqlite_path(url).with_name("test.db-wal")
    take(store, "first")
    patient = 0
    for number in range(600):
        if not take_at_once(store, f"{number}"):
            take(store, f"{number}")
            patient += 1
    assert 2 <= patient <= 10
    assert log.stat().st_size < 1_500 * 4_120
    assert holds(url) == 601


def test_a_log_that_could_not_be_folded_in_is_tried_again_with_each_batch(
    store: SqliteLedgerStore, url: str
) -> None:
    log = sqlite_path(url).with_name("test.db-wal")
    with closing(connect(url)) as reader:
        take(store, "first")
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM hold").fetchone()
        for number in range(300):
            take(store, f"{number}")
        grown = log.stat().st_size
        reader.execute("ROLLBACK")
    for number in range(300, 400):
        take(store, f"{number}")
    assert log.stat().st_size < grown + 20 * 4_120
    assert take_at_once(store, "last"), "and then there is time again"


HAVE_LOCK = """
import fcntl, sys
with open(sys.argv[1], "r+b") as shared:
    fcntl.lockf(shared, fcntl.LOCK_EX, 1, 121)
    print("locked", flush=True)
    sys.stdin.read()
"""


@contextmanager
def folding_elsewhere(url: str) -> Iterator[None]:
    """Another process has the lock under which a log is folded in."""
    arguments = [sys.executable, "-c", HAVE_LOCK, f"{sqlite_path(url)}-shm"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        yield


def test_what_another_folds_in_meanwhile_is_not_taken_for_folded(store: SqliteLedgerStore, url: str) -> None:
    take(store, "first")
    number = 0
    while take_at_once(store, f"{number}"):
        number += 1
    with folding_elsewhere(url):
        take(store, "a")
        take(store, "b")
        assert not take_at_once(store, "too early")
    take(store, "c")
    take(store, "d")
    assert take_at_once(store, "last")


def test_a_reader_that_stays_is_waited_for_once(url: str) -> None:
    said: list[str] = []
    with closing(connect(url)) as connection, closing(connect(url)) as reader:
        books = SqliteBooks(connection, None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM hold").fetchone()
        connection.execute("UPDATE institution SET name = CAST(zeroblob(9000000) AS TEXT)")
        connection.set_trace_callback(said.append)
        waits = [fold(books, said)]
        with folding_elsewhere(url):
            fold(books, said)
        waits.append(fold(books, said))
    assert waits[0] > 10
    assert waits[1:] == [1]


def fold(books: SqliteBooks, said: list[str]) -> int:
    """How often it asked that all others wait."""
    said.clear()
    books.fold()
    return said.count("PRAGMA wal_checkpoint(RESTART)")


def test_a_database_behind_a_link_is_the_one_that_it_leads_to(url: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.db"
    link.symlink_to(sqlite_path(url))
    with closing(SqliteLedgerStore(f"sqlite:///{link}")) as store:
        take(store, "a", durable=True)
    assert holds(url) == 1


def test_a_file_system_that_syncs_no_folders_is_taken_as_it_is(
    store: SqliteLedgerStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What such a file system answers, which none here does: SQLite goes on, too."""

    def refuses(_: int) -> None:
        raise OSError(errno.EINVAL, "no such thing here")

    monkeypatch.setattr(os, "fsync", refuses)
    take(store, "a", durable=True)
    monkeypatch.undo()
    assert holds(url) == 1


def test_a_log_that_stays_is_synced_through_the_descriptor_that_was_there_first(url: str) -> None:
    """Of a failed sync, for example SQLite's, the system tells each descriptor once that was open then."""
    places: list[int] = []

    def sync(descriptor: int) -> None:
        places.append(os.lseek(descriptor, 0, os.SEEK_CUR))
        os.lseek(descriptor, len(places), os.SEEK_SET)

    with closing(SqliteLedgerStore(url, sync=sync)) as store:
        with closing(connect(url)) as other:
            other.execute("SELECT count(*) FROM hold").fetchone()
            take(store, "a", durable=True)
            store.close()
            take(store, "b", durable=True)
            assert places == [0, 1]
        store.close()
        take(store, "c", durable=True)
        assert places == [0, 1, 0], "the last to close it had removed it"
    assert holds(url) == 3


LOOK = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT count(*) FROM hold').fetchone()"


def test_syncing_takes_no_lock_away(store: SqliteLedgerStore, url: str) -> None:
    """A process loses its POSIX locks on a file when it closes any descriptor of it. Whoever comes and goes
    meanwhile would take himself for the last one then, and remove the log under our feet."""
    with closing(SqliteLedgerStore(url)) as second:
        take(second, "b", durable=True)
    take(store, "a", durable=True)
    store.close()
    take(store, "c", durable=True)  # with a new descriptor of the log; the old one is closed
    subprocess.run([sys.executable, "-c", LOOK, str(sqlite_path(url))], check=True)
    assert sqlite_path(url).with_name("test.db-wal").stat().st_size > 0
    take(store, "d")
    assert holds(url) == 4
