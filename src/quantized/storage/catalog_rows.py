"""The database's copy of a provider's list of models, so that a start without network has one."""

import asyncio
from collections.abc import Sequence
from contextlib import closing

from quantized.core.errors import LedgerUnavailable
from quantized.storage.database import DatabaseUnusable, database
from quantized.storage.database_thread import DatabaseThread

_PATIENCE = 1.8


class CatalogRows:
    """Rows are JSON text as bytes, in the order in which they were saved. They are read and written once in
    an hour, and each time on a connection of their own; when they were written is asked every second, on one
    that stays. All raise LedgerUnavailable."""

    def __init__(self, url: str) -> None:
        """Raises DatabaseUnusable for a URL that cannot work."""
        self._database = database(url)
        self._asking = DatabaseThread(url, "catalog", _PATIENCE)
        self._fetched_at = self._asking.statement(
            "SELECT fetched_at FROM catalog_model WHERE provider = ? LIMIT 1"
        )
        self._faults: tuple[type[Exception], ...] = (*self._database.errors, DatabaseUnusable)

    async def fetched_at(self, provider: str) -> int | None:
        """What `replace` was last told; None where there are no rows."""
        row = await self._asking.ask(
            lambda connection: connection.execute(self._fetched_at, (provider,)).fetchone()
        )
        return None if row is None else row[0]

    def close(self) -> None:
        self._asking.close()

    async def load(self, provider: str) -> list[bytes]:
        return await asyncio.to_thread(self._load, provider)

    async def replace(self, provider: str, rows: Sequence[tuple[str, bytes]], fetched_at: int) -> None:
        """All of the provider's rows, each with its model's id, at once in place of the old."""
        await asyncio.to_thread(self._replace, provider, rows, fetched_at)

    def _load(self, provider: str) -> list[bytes]:
        statement = self._database.statement(
            "SELECT data FROM catalog_model WHERE provider = ? ORDER BY position"
        )
        try:
            with closing(self._database.connect()) as connection:
                rows = connection.execute(statement, (provider,)).fetchall()
        except self._faults as error:
            raise LedgerUnavailable(cause=str(error)) from error
        return [data for (data,) in rows]

    def _replace(self, provider: str, rows: Sequence[tuple[str, bytes]], fetched_at: int) -> None:
        delete, insert = map(
            self._database.statement,
            (
                "DELETE FROM catalog_model WHERE provider = ?",
                "INSERT INTO catalog_model (provider, id, data, fetched_at, position) VALUES (?, ?, ?, ?, ?)",
            ),
        )
        values = [
            (provider, model_id, data, fetched_at, position) for position, (model_id, data) in enumerate(rows)
        ]
        try:
            with closing(self._database.connect()) as connection:
                for statement in self._database.begin_writing:
                    connection.execute(statement)
                connection.execute(delete, (provider,))
                connection.cursor().executemany(insert, values)
                connection.execute("COMMIT")
        except self._faults as error:
            raise LedgerUnavailable(cause=str(error)) from error
