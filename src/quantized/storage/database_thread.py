"""Short statements off the event loop: one connection, and one thread that owns it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from quantized.core.errors import LedgerUnavailable
from quantized.storage.database import DatabaseUnusable, database

T = TypeVar("T")


class DatabaseThread:
    """Answers questions in their order. The connection is opened when first needed and again after a
    failure; it never creates a database. A question is asked again where the connection turns out to have
    been lost meanwhile, so that asking twice must do no harm."""

    def __init__(self, url: str, name: str, patience: float) -> None:
        """`patience` in seconds. Raises DatabaseUnusable for a URL that cannot work."""
        self._database = database(url)
        self._faults: tuple[type[Exception], ...] = (*self._database.errors, DatabaseUnusable)
        self._patience = patience
        self._connection: Any = None
        self._thread = ThreadPoolExecutor(1, name)

    async def ask(self, question: Callable[[Any], T]) -> T:
        """What `question`, given the driver's own connection, returns or raises.

        Raises LedgerUnavailable when the database does not answer while `patience` lasts.
        """
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._patience):
                return await loop.run_in_executor(self._thread, self._answer, question)
        except TimeoutError as error:
            raise LedgerUnavailable(cause="the database did not answer in time") from error

    def close(self) -> None:
        self._thread.submit(self._disconnect)
        self._thread.shutdown()

    def statement(self, text: str) -> str:
        """A statement whose values are marked `?`, as the driver wants it."""
        return self._database.statement(text)

    def _answer(self, question: Callable[[Any], T]) -> T:
        try:
            if self._connection is not None:
                try:
                    return question(self._connection)
                except self._database.errors:
                    if not self._database.lost(self._connection):
                        raise
                    self._disconnect()
            self._connection = self._database.connect()
            return question(self._connection)
        except self._faults as error:
            self._disconnect()
            raise LedgerUnavailable(cause=f"{type(error).__name__}: {error}") from error

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
