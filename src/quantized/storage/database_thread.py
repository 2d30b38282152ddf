"""Short statements off the event loop: one connection, and one thread that owns it."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from quantized.core.errors import LedgerUnavailable
from quantized.storage.database import DatabaseUnusable
from quantized.storage.sqlite import connect, sqlite_path

T = TypeVar("T")


class DatabaseThread:
    """Answers questions in their order. The connection is opened when first needed and again after a
    failure; it never creates the file."""

    def __init__(self, url: str, name: str, patience: float) -> None:
        """`patience` in seconds. Raises DatabaseUnusable for a URL that cannot work."""
        sqlite_path(url)
        self._url = url
        self._patience = patience
        self._connection: sqlite3.Connection | None = None
        self._thread = ThreadPoolExecutor(1, name)

    async def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """What `question` returns, or raises. Raises LedgerUnavailable when the database does not answer
        while `patience` lasts."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._patience):
                return await loop.run_in_executor(self._thread, self._answer, question)
        except TimeoutError as error:
            raise LedgerUnavailable(cause="the database did not answer in time") from error

    def close(self) -> None:
        self._thread.submit(self._disconnect)
        self._thread.shutdown()

    def _answer(self, question: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = connect(self._url, create=False)
            return question(self._connection)
        except (sqlite3.Error, DatabaseUnusable) as error:
            self._disconnect()
            raise LedgerUnavailable(cause=f"{type(error).__name__}: {error}") from error

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
