"""Which processes there are, and which holds they took: read and written by each every few seconds."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from quantized.storage.bulk import marks
from quantized.storage.database import database
from quantized.storage.database_thread import DatabaseThread
from quantized.storage.records import OpenHold


class ProcessRow(Struct, frozen=True):
    """`seen_at` is the database's time, in Unix milliseconds; see `storage.schema.process`."""

    id: str
    host: str
    machine: str | None
    pid: int
    seen_at: int


class Leases:
    """With a connection and a thread of its own. Every method raises LedgerUnavailable when the database does
    not answer within `patience` seconds."""

    def __init__(self, url: str, *, patience: float = 1.8) -> None:
        """Raises DatabaseUnusable for a URL that cannot work."""
        now = database(url).now
        self._thread = DatabaseThread(url, "leases", patience)
        statement = self._thread.statement
        self._renew = statement(
            "INSERT INTO process (id, host, machine, pid, started_at, seen_at)"  # noqa: S608  an expression of ours
            f" VALUES (?, ?, ?, ?, {now}, {now}) ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at"
        )
        self._list = statement("SELECT id, host, machine, pid, seen_at FROM process ORDER BY seen_at, id")
        self._expired = statement(
            f"SELECT {', '.join(OpenHold.__struct_fields__)} FROM hold"  # noqa: S608  names of ours
            # As a subquery it is asked once, and can be looked up in the index.
            f" WHERE state = 'open' AND expires_at <= (SELECT {now})"
            " AND CASE WHEN coalesce(owner, '') = ? THEN expires_at <= ?"
            " ELSE NOT EXISTS (SELECT 1 FROM process WHERE process.id = hold.owner) END"
            " ORDER BY expires_at LIMIT ?"
        )
        self._forget = statement("DELETE FROM process WHERE id = ? AND seen_at = ?")
        self._leave = statement(
            "DELETE FROM process WHERE id = ?"
            " AND NOT EXISTS (SELECT 1 FROM hold WHERE state = 'open' AND owner = ?)"
        )

    async def renew(self, id_: str, host: str, machine: str | None, pid: int) -> list[ProcessRow]:
        """Says that this process is there, and returns all that have said so, this one with its new time;
        those who said it longest ago first."""

        def renewed(connection: Any) -> list[tuple[Any, ...]]:
            connection.execute(self._renew, (id_, host, machine, pid))
            rows: list[tuple[Any, ...]] = connection.execute(self._list).fetchall()
            return rows

        return [ProcessRow(*row) for row in await self._thread.ask(renewed)]

    async def open_holds(self, owners: Sequence[str], limit: int) -> list[OpenHold]:
        """At most `limit` of those that these processes took and nobody has ended; `owners` are some."""
        statement = self._thread.statement(
            f"SELECT {', '.join(OpenHold.__struct_fields__)} FROM hold"  # noqa: S608  names of ours
            # Without a bound on it, no database would look into the index of open holds for that.
            f" WHERE state = 'open' AND expires_at >= 0 AND owner IN {marks(1, len(owners))} LIMIT ?"
        )
        rows = await self._thread.ask(
            lambda connection: connection.execute(statement, (*owners, limit)).fetchall()
        )
        return [OpenHold(*row) for row in rows]

    async def expired_holds(self, owner: str | None, owners_ms: int, limit: int) -> list[OpenHold]:
        """Open holds whose time is over by the database's clock, the oldest first: those of `owner` if it is
        also over at `owners_ms`, and those of whom no sign is left."""
        rows = await self._thread.ask(
            lambda connection: connection.execute(self._expired, (owner or "", owners_ms, limit)).fetchall()
        )
        return [OpenHold(*row) for row in rows]

    async def forget(self, process: ProcessRow) -> None:
        """Unless it has been seen since."""
        await self._ask(self._forget, process.id, process.seen_at)

    async def leave(self, id_: str) -> None:
        """This process takes no more holds. If it leaves some behind, it is missed by the others."""
        await self._ask(self._leave, id_, id_)

    def close(self) -> None:
        self._thread.close()

    async def _ask(self, statement: str, *values: str | int) -> None:
        await self._thread.ask(lambda connection: connection.execute(statement, values))
