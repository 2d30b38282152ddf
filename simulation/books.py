"""The books as rows, seen by nothing but SQL: every change of every row is noted by triggers of our own.

The database of an episode gets a table `noted` and a trigger for each kind of change on each table of the
ledger's. What the ledger does not know about it cannot hide from.
"""

import json
import sqlite3
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

TABLES = ("license", "hold", "ledger_entry", "usage_record")
_HOLD_ENDS_BY = {"state", "reason", "ended_at"}
_LICENSE_CACHES = {"granted", "used", "held", "entries", "head", "open_holds"}
_LICENSE_METERS = {"requests_owed", "tokens_owed", "metered_at"}

Row = dict[str, Any]


class Broken(AssertionError):
    """A law of the books does not hold."""


def require(holds: object, law: str, *facts: object) -> None:
    if not holds:
        raise Broken(": ".join([law, *map(str, facts)]))


class Books:
    """A mirror of the rows, built from what was noted, and the laws that each change has to keep."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.connection = self._connect()
        self._columns = {table: self._columns_of(table) for table in TABLES}
        self.connection.execute("CREATE TABLE noted (n INTEGER PRIMARY KEY, tbl, old, new)")
        for table in TABLES:
            self._note_changes_of(table)
        self._forget()

    def go_back_to(self, earlier: sqlite3.Connection) -> None:
        """The database is as it was then. The mirror is made anew from what had been noted."""
        self.connection.close()
        for file in self._path.parent.glob(f"{self._path.name}*"):
            file.unlink()
        self.connection = self._connect()
        earlier.backup(self.connection)
        self._forget()
        self.look()

    def _forget(self) -> None:
        self._read = 0
        self.licenses: dict[str, Row] = {}
        self.holds: dict[str, Row] = {}
        self.entries: dict[str, list[Row]] = {}
        self.records: dict[str, Row] = {}
        self.charges: dict[str, Row] = {}
        self.overruns: dict[str, Row] = {}
        self._refunded: dict[str, int] = {}
        self._said: set[str] = set()
        self._held: dict[str, int] = {}
        self._open: dict[str, int] = {}
        self._granted: dict[str, int] = {}
        self._used: dict[str, int] = {}

    def look(self) -> tuple[Iterable[str], Iterable[str]]:
        """Takes in what was written since the last look, one transaction at most; the licences and holds that
        it is about.

        Raises Broken.
        """
        rows = self.connection.execute(
            "SELECT n, tbl, old, new FROM noted WHERE n > ? ORDER BY n", (self._read,)
        ).fetchall()
        if not rows:
            return (), ()
        touched: dict[str, None] = {}
        holds: dict[str, None] = {}
        for n, table, old_text, new_text in rows:
            old, new = self._row(table, old_text), self._row(table, new_text)
            require(new is not None, "no row is ever deleted", table, old)
            assert new is not None
            touched[new["id"] if table == "license" else new["license_id"]] = None
            getattr(self, f"_{table}")(old, new)
            if table != "license" and table != "ledger_entry":
                holds[new["hold_id"] if table == "usage_record" else new["id"]] = None
            self._read = n
        for hold_id in holds:
            self._check_end(hold_id)
        for license_id in touched:
            self._check_license(license_id)
        return touched, holds

    def check_all(self) -> None:
        """That the mirror is what the tables say, to the last column."""
        for table, mirrored in (
            ("license", self.licenses.values()),
            ("hold", self.holds.values()),
            ("ledger_entry", [entry for entries in self.entries.values() for entry in entries]),
            ("usage_record", self.records.values()),
        ):
            columns = self._columns[table]
            names = ", ".join(f"hex({c})" if kind == "BLOB" else c for c, kind in columns.items())
            found = self.connection.execute(f"SELECT {names} FROM {table}").fetchall()
            expected = [tuple(row[name] for name in columns) for row in mirrored]
            require(sorted(found, key=repr) == sorted(expected, key=repr), "each change was noted", table)

    def open_holds(self) -> list[Row]:
        return [hold for hold in self.holds.values() if hold["state"] == "open"]

    def receipt(self, hold_id: str) -> tuple[int, int, int | None] | None:
        record = self.records.get(hold_id)
        return None if record is None else (record["charged"], record["overrun"], record["remaining"])

    def users(self) -> dict[tuple[str, str], tuple[int, int]]:
        """What users have used and hold of their allowances, by licence and user."""
        rows = self.connection.execute("SELECT license_id, user_id, used, held FROM user_allowance")
        return {(license_id, user_id): (used, held) for license_id, user_id, used, held in rows}

    def sums(self, license_id: str) -> tuple[int, int, int]:
        """Granted, used and held, added up from entries and holds."""
        return (
            self._granted.get(license_id, 0),
            self._used.get(license_id, 0),
            self._held.get(license_id, 0),
        )

    # One change of one row.

    def _license(self, old: Row | None, new: Row) -> None:
        if old is not None:
            changed = {name for name in new if new[name] != old[name]}
            require(
                changed <= {*_LICENSE_CACHES, *_LICENSE_METERS, "active"},
                "only a licence's caches change",
                changed,
            )
        self.licenses[new["id"]] = new

    def _hold(self, old: Row | None, new: Row) -> None:
        license_id = new["license_id"]
        if old is None:
            require(new["state"] == "open" and new["ended_at"] is None, "a hold begins open", new)
            require(new["amount"] >= 0, "a hold keeps something", new)
            self._held[license_id] = self._held.get(license_id, 0) + new["amount"]
            self._open[license_id] = self._open.get(license_id, 0) + 1
        else:
            changed = {name for name in new if new[name] != old[name]}
            require(changed <= _HOLD_ENDS_BY, "only a hold's end is written", changed, new)
            require(old["state"] == "open" and new["state"] != "open", "a hold ends once", old, new)
            require(new["ended_at"] is not None, "an end has its time", new)
            self._held[license_id] -= new["amount"]
            self._open[license_id] -= 1
        self.holds[new["id"]] = new

    def _ledger_entry(self, old: Row | None, new: Row) -> None:
        require(old is None, "no entry is ever changed", old, new)
        license_id, kind, amount, hold_id = new["license_id"], new["kind"], new["amount"], new["hold_id"]
        entries = self.entries.setdefault(license_id, [])
        require(new["seq"] == len(entries) + 1, "entries are numbered without a gap", new)
        require(amount > 0 or (amount == 0 and kind == "charge"), "an entry moves something", new)
        before = bytes.fromhex(entries[-1]["hash"]) if entries else bytes(32)
        require(
            sha256(before + self._bytes(new)).hexdigest().upper() == new["hash"], "the chain is whole", new
        )
        entries.append(new)
        sign = (new["credit"] == "license") - (new["debit"] == "license")
        if kind in ("charge", "refund"):
            self._used[license_id] = self._used.get(license_id, 0) - sign * amount
        else:
            self._granted[license_id] = self._granted.get(license_id, 0) + sign * amount
        granted, used, _ = self.sums(license_id)
        require(new["balance_after"] == granted - used, "each entry says the balance after it", new)
        match kind:
            case "charge" | "overrun":
                of_kind = self.charges if kind == "charge" else self.overruns
                require(hold_id not in of_kind, "a hold is charged once", new)
                of_kind[hold_id] = new
            case "refund":
                self._refunded[hold_id] = self._refunded.get(hold_id, 0) + amount
                require(
                    hold_id in self.charges and self._refunded[hold_id] <= self.charges[hold_id]["amount"],
                    "no more is given back than was charged",
                    new,
                )
        if new["id"] is not None:
            require(new["id"] not in self._said, "an entry's id counts once", new)
            self._said.add(new["id"])

    def _usage_record(self, old: Row | None, new: Row) -> None:
        require(old is None, "no request's record is ever changed", old, new)
        self.records[new["hold_id"]] = new

    # What has to hold when a transaction is over.

    def _check_end(self, hold_id: str) -> None:
        hold, record = self.holds.get(hold_id), self.records.get(hold_id)
        charge, overrun = self.charges.get(hold_id), self.overruns.get(hold_id)
        require(hold is not None, "what is charged was held", record)
        assert hold is not None
        require((record is None) == (charge is None), "a charge has its record", hold, record, charge)
        require(hold["state"] != "settled" or charge is not None, "what is settled is charged", hold)
        if record is None or charge is None:
            return
        require(hold["state"] != "open", "what is charged has ended", hold, record)
        over = overrun["amount"] if overrun else 0
        require(
            (record["charged"], record["overrun"]) == (charge["amount"], over), "charged as recorded", record
        )
        require(record["price"] == record["charged"] + record["overrun"], "the price is charged", record)
        require(record["license_id"] == hold["license_id"] == charge["license_id"], "one licence", record)
        sealed = sha256(
            self._encoded("usage_record", list(self._columns["usage_record"]), record)
        ).hexdigest()
        require(charge["record_hash"] == sealed.upper(), "the entry seals its record", charge)

    def _check_license(self, license_id: str) -> None:
        row, entries = self.licenses[license_id], self.entries.get(license_id, [])
        granted, used, held = self.sums(license_id)
        cached = (row["granted"], row["used"], row["held"], row["entries"], row["head"] or "")
        summed = (granted, used, held, len(entries), entries[-1]["hash"] if entries else "")
        require(cached == summed, "the licence caches what its rows add up to", license_id, cached, summed)
        counted = self._open.get(license_id, 0)
        require(row.get("open_holds", counted) == counted, "open holds are counted", row, counted)
        require(used >= 0 and held >= 0, "nothing is used backwards", license_id, used, held)
        require(
            row["unlimited"] or used + held <= granted,
            "what is settled and held is never more than there is",
            (license_id, granted, used, held),
        )

    # How rows come here.

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    def _columns_of(self, table: str) -> dict[str, str]:
        """Name by declared type."""
        rows = self.connection.execute(f"PRAGMA table_info({table})").fetchall()
        return {name: kind for _, name, kind, *_ in rows}

    def _note_changes_of(self, table: str) -> None:
        def row(side: str) -> str:
            columns = self._columns[table].items()
            values = (f"hex({side}.{name})" if kind == "BLOB" else f"{side}.{name}" for name, kind in columns)
            return f"json_array({', '.join(values)})"

        for event, old, new in (
            ("INSERT", "NULL", row("new")),
            ("UPDATE", row("old"), row("new")),
            ("DELETE", row("old"), "NULL"),
        ):
            self.connection.execute(
                f"CREATE TRIGGER note_{table}_{event} AFTER {event} ON {table} BEGIN"
                f" INSERT INTO noted (tbl, old, new) VALUES ('{table}', {old}, {new}); END"
            )

    def _row(self, table: str, text: str | None) -> Row | None:
        return None if text is None else dict(zip(self._columns[table], json.loads(text), strict=True))

    def _bytes(self, entry: Row) -> bytes:
        return self._encoded("ledger_entry", list(self._columns["ledger_entry"])[:-1], entry)

    def _encoded(self, table: str, names: list[str], row: Row) -> bytes:
        """A JSON array, as the ledger's documents say it."""

        def value(name: str) -> Any:
            found, kind = row[name], self._columns[table][name]
            if kind == "BOOLEAN":
                return bool(found)
            return (found.lower() or None) if kind == "BLOB" else found

        values = [value(name) for name in names]
        return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
