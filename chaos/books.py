"""What the database says, read by somebody who knows nothing of the ledger's rules."""

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, NamedTuple

from plain_sql import Plain, plainly

Row = Mapping[str, Any]

_INSTANT = """
SELECT l.id, l.granted, l.used, l.held, l.open_holds,
  (SELECT e.balance_after FROM ledger_entry AS e WHERE e.license_id = l.id AND e.seq = l.entries),
  (SELECT COALESCE(SUM(h.amount), 0) FROM hold AS h
   WHERE h.state = 'open' AND h.expires_at >= 0 AND h.license_id = l.id),
  (SELECT COUNT(*) FROM hold AS h WHERE h.state = 'open' AND h.expires_at >= 0 AND h.license_id = l.id),
  (SELECT COALESCE(SUM(h.amount), 0) FROM hold AS h
   WHERE h.state = 'open' AND h.expires_at >= 0 AND h.license_id = l.id AND h.user_id IS NOT NULL),
  (SELECT COALESCE(SUM(u.held), 0) FROM user_allowance AS u WHERE u.license_id = l.id)
FROM license AS l WHERE NOT l.unlimited AND l.entries > 0
"""


class Watcher:
    """Looks at one moment of the database after another, in a thread of its own: nobody may ever have used
    and held more than there is."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watcher", daemon=True)
        self.looks = 0
        self.found: list[str] = []

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(60)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                with plainly(self._url) as sql:
                    self._watch(sql)
            except _trouble(self._url):
                # The database is being restarted.
                time.sleep(0.05)

    def _watch(self, sql: Plain) -> None:
        while not self._stopped.wait(0.02):
            rows = sql(_INSTANT)
            self.looks += 1
            for row in rows:
                id_, granted, used, held, count, balance, open_, open_count, of_users, users_held = row
                whole = used + held <= granted and balance == granted - used
                if not whole or (open_, open_count, of_users) != (held, count, users_held):
                    self.found.append(f"at one instant: {row} of {id_}")


class Round(NamedTuple):
    """All that happened to holds that were taken since a moment: rows by their columns' names."""

    holds: Sequence[Row]
    usage: Sequence[Row]
    charges: Sequence[Row]


def since(url: str, moment: int) -> Round:
    """`moment` in Unix milliseconds."""
    with plainly(url) as sql, sql.one_moment():
        holds = "SELECT id FROM hold WHERE taken_at >= ?"
        return Round(
            sql.named("SELECT * FROM hold WHERE taken_at >= ?", moment),
            sql.named(f"SELECT * FROM usage_record WHERE hold_id IN ({holds})", moment),
            sql.named(f"SELECT * FROM ledger_entry WHERE kind = 'charge' AND hold_id IN ({holds})", moment),
        )


def balances(url: str) -> dict[str, int]:
    with plainly(url) as sql:
        return dict(sql("SELECT id, granted - used FROM license"))


def open_holds(url: str) -> int:
    """Raises what the driver does while the database is away."""
    with closing(Plain(url)) as sql:
        return int(sql("SELECT COUNT(*) FROM hold WHERE state = 'open' AND expires_at >= 0")[0][0])


def _trouble(url: str) -> tuple[type[Exception], ...]:
    from quantized.storage.database import DatabaseUnusable, database  # noqa: PLC0415

    return (DatabaseUnusable, *database(url).errors)
