"""The database's copy of a provider's list of models, so that a start without network has one."""

import asyncio
from collections.abc import Sequence
from contextlib import closing

from quantized.core.errors import LedgerUnavailable
from quantized.storage.database import DatabaseUnusable, database


class CatalogRows:
    """Rows are JSON text as bytes, in the order in which they were saved. Read once at start and written
    once in an hour, so each call opens a connection of its own. All raise LedgerUnavailable."""

    def __init__(self, url: str) -> None:
        """Raises DatabaseUnusable for a URL that cannot work."""
        self._database = database(url)
        self._faults: tuple[type[Exception], ...] = (*self._database.errors, DatabaseUnusable)

    async def load(self, provider: str) -> list[bytes]:
        return await asyncio.to_thread(self._load, provider)

    async def replace(self, provider: str, rows: Sequence[tuple[str, bytes]], fetched_at: int) -> None:
        """All of the provider's rows, each with its model's id, at once in place of the old."""
        await asyncio.to_thread(self._replace, provider, rows, fetched_at)

    def _load(self, provider: str) -> list[bytes]:
        statement = self._database.statement(
            f"SELECT data FROM catalog_model WHERE provider = ? ORDER BY {self._database.row_order}"  # noqa: S608  a name of ours
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
                "INSERT INTO catalog_model (provider, id, data, fetched_at) VALUES (?, ?, ?, ?)",
            ),
        )
        values = [(provider, model_id, data, fetched_at) for model_id, data in rows]
        try:
            with closing(self._database.connect()) as connection:
                for statement in self._database.begin_writing:
                    connection.execute(statement)
                connection.execute(delete, (provider,))
                connection.cursor().executemany(insert, values)
                connection.execute("COMMIT")
        except self._faults as error:
            raise LedgerUnavailable(cause=str(error)) from error
