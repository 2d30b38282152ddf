"""`storage.leases.Leases` without a thread or a clock: the database's time is the simulated one."""

import asyncio
from collections.abc import Callable, Sequence

from msgspec import Struct

from quantized.core.errors import LedgerUnavailable
from quantized.storage.leases import ProcessRow
from quantized.storage.records import OpenHold
from simulation.books import Books
from simulation.database import Weather

_PATIENCE = 1.8


class Table(Struct):
    """What all processes share: who is there, and the books to look for holds in."""

    books: Books
    now_ms: Callable[[], int]
    secured: Callable[[], None]
    """To be told of what was written, which is durable."""
    rows: dict[str, ProcessRow] = {}


class SimulatedLeases:
    """Of one process."""

    def __init__(self, table: Table, weather: Weather) -> None:
        self._table = table
        self._weather = weather

    async def renew(self, id_: str, host: str, machine: str | None, pid: int) -> list[ProcessRow]:
        await self._answer()
        self._table.rows[id_] = ProcessRow(id_, host, machine, pid, self._table.now_ms())
        self._table.secured()
        return sorted(self._table.rows.values(), key=lambda row: (row.seen_at, row.id))

    async def open_holds(self, owners: Sequence[str], limit: int) -> list[OpenHold]:
        await self._answer()
        marks = ", ".join("?" for _ in owners)
        columns = ", ".join(OpenHold.__struct_fields__)
        rows = self._table.books.connection.execute(
            f"SELECT {columns} FROM hold WHERE state = 'open' AND owner IN ({marks}) LIMIT ?",
            (*owners, limit),
        ).fetchall()
        return [OpenHold(*row) for row in rows]

    async def expired_holds(self, owner: str | None, owners_ms: int, limit: int) -> list[OpenHold]:
        await self._answer()
        there = list(self._table.rows)
        marks = ", ".join("?" for _ in there)
        columns = ", ".join(OpenHold.__struct_fields__)
        rows = self._table.books.connection.execute(
            f"SELECT {columns} FROM hold WHERE state = 'open' AND expires_at <= ?"
            f" AND CASE WHEN owner = ? THEN expires_at <= ? ELSE owner NOT IN ({marks}) END"
            " ORDER BY expires_at LIMIT ?",
            (self._table.now_ms(), owner, owners_ms, *there, limit),
        ).fetchall()
        return [OpenHold(*row) for row in rows]

    async def forget(self, process: ProcessRow) -> None:
        await self._answer()
        if self._table.rows.get(process.id) == process:
            del self._table.rows[process.id]

    async def leave(self, id_: str) -> None:
        await self._answer()
        held = "SELECT 1 FROM hold WHERE state = 'open' AND owner = ?"
        if self._table.books.connection.execute(held, (id_,)).fetchone() is None:
            del self._table.rows[id_]
            self._table.secured()

    async def _answer(self) -> None:
        seconds = self._weather.seconds()
        await asyncio.sleep(min(seconds, _PATIENCE))
        if seconds > _PATIENCE or self._weather.fate() != "taken":
            raise LedgerUnavailable(cause="simulated: no answer")
