"""Blocking administration off the event loop: a few threads, and a bounded number of people who wait."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

from quantized.administration.faults import TooManyRequests
from quantized.administration.port import Administering

T = TypeVar("T")

THREADS = 4
_MOST_WAITING = 64


class AdminPool:
    """Opens the administration when it is first asked for something: a gateway that nobody administers over
    HTTP pays nothing for it."""

    def __init__(self, open_: Callable[[], Administering]) -> None:
        self._open = open_
        self._opened: Administering | None = None
        self._opening = Lock()
        self._threads = ThreadPoolExecutor(THREADS, "admin")
        self._waiting = 0

    async def ask(self, question: Callable[[Administering], T]) -> T:
        """What `question` returns, or raises. Raises TooManyRequests: keys cannot be guessed, but asking for
        their owners must not fill the memory either."""
        if self._waiting >= _MOST_WAITING:
            raise TooManyRequests(cause=f"{self._waiting} administrative requests wait already")
        self._waiting += 1
        question_task = asyncio.get_running_loop().run_in_executor(self._threads, self._answer, question)
        question_task.add_done_callback(self._answered)
        return await question_task

    def close(self) -> None:
        self._threads.shutdown()
        if self._opened is not None:
            self._opened.close()

    def _answer(self, question: Callable[[Administering], T]) -> T:
        with self._opening:
            if self._opened is None:
                self._opened = self._open()
        return question(self._opened)

    def _answered(self, _question: asyncio.Future[T]) -> None:
        self._waiting -= 1
