"""Blocking administration off the event loop: a few threads, and a bounded number of people who wait."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Generic, Protocol, TypeVar

from quantized.administration.faults import TooManyRequests
from quantized.core.errors import LedgerUnavailable

T = TypeVar("T")


class _Closing(Protocol):
    def close(self) -> None: ...


D = TypeVar("D", bound=_Closing)

THREADS = 4
_MOST_WAITING = 64


class AdminPool(Generic[D]):
    """Opens the database's side when it is first asked for something: a gateway that nobody administers over
    HTTP pays nothing for it."""

    def __init__(self, open_: Callable[[], D]) -> None:
        self._open = open_
        self._opened: D | None = None
        self._opening = Lock()
        self._threads = ThreadPoolExecutor(THREADS, "admin")
        self._waiting = 0

    async def ask(self, question: Callable[[D], T], patience: float) -> T:
        """What `question` returns, or raises. Raises TooManyRequests: keys cannot be guessed, but asking for
        their owners must not fill the memory either. Raises LedgerUnavailable after `patience` seconds; what
        had not begun by then is not done, what had may be."""
        if self._waiting >= _MOST_WAITING:
            raise TooManyRequests(cause=f"{self._waiting} administrative requests wait already")
        self._waiting += 1
        answer = asyncio.get_running_loop().run_in_executor(self._threads, self._answer, question)
        answer.add_done_callback(self._answered)
        try:
            async with asyncio.timeout(patience):
                return await answer
        except TimeoutError as error:
            raise LedgerUnavailable(cause="the database did not answer in time") from error

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        if self._opened is not None:
            self._opened.close()

    def _answer(self, question: Callable[[D], T]) -> T:
        with self._opening:
            if self._opened is None:
                self._opened = self._open()
        return question(self._opened)

    def _answered(self, _question: asyncio.Future[T]) -> None:
        self._waiting -= 1
