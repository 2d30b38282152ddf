"""The database's copy of a provider's list of models, so that a start without network has one."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing

from quantized.core.errors import LedgerUnavailable
from quantized.storage.database import DatabaseUnusable
from quantized.storage.sqlite import connect, sqlite_path


class CatalogRows:
    """Rows are JSON text as bytes, in the order in which they were saved. Read once at start and written
    once in an hour, so each call opens a connection of its own. All raise LedgerUnavailable."""

    def __init__(self, url: str) -> None:
        """Raises DatabaseUnusable for a URL that cannot work."""
        sqlite_path(url)
        self._url = url

    async def load(self, provider: str) -> list[bytes]:
        return await asyncio.to_thread(self._load, provider)

    async def replace(self, provider: str, rows: Sequence[tuple[str, bytes]], fetched_at: int) -> None:
        """All of the provider's rows, each with its model's id, at once in place of the old."""
        await asyncio.to_thread(self._replace, provider, rows, fetched_at)

    def _load(self, provider: str) -> list[bytes]:
        try:
            with closing(connect(self._url, create=False)) as connection:
                rows = connection.execute(
                    "SELECT data FROM catalog_model WHERE provider = ? ORDER BY rowid", (provider,)
                ).fetchall()
        except (sqlite3.Error, DatabaseUnusable) as error:
            raise LedgerUnavailable(cause=str(error)) from error
        return [data for (data,) in rows]

    def _replace(self, provider: str, rows: Sequence[tuple[str, bytes]], fetched_at: int) -> None:
        try:
            with closing(connect(self._url, create=False)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute("DELETE FROM catalog_model WHERE provider = ?", (provider,))
                connection.executemany(
                    "INSERT INTO catalog_model (provider, id, data, fetched_at) VALUES (?, ?, ?, ?)",
                    [(provider, model_id, data, fetched_at) for model_id, data in rows],
                )
                connection.execute("COMMIT")
        except (sqlite3.Error, DatabaseUnusable) as error:
            raise LedgerUnavailable(cause=str(error)) from error
