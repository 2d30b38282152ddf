"""Names that strangers choose, resolved apart from those that the gateway needs itself.

A lookup blocks a thread for as long as the name's own servers like, and nothing can stop it. In the pool of
the event loop such lookups would hold up every other connection; here they hold up only one another.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from socket import SOCK_STREAM, getaddrinfo
from threading import Thread

from quantized.core.errors import Unavailable


def look_up(host: str, port: int) -> Sequence[str]:
    """As the system does it. Blocks. Raises OSError, UnicodeError."""
    return [str(address[0]) for *_, address in getaddrinfo(host, port, type=SOCK_STREAM)]


class Resolver:
    """Serves one event loop. `at_once` lookups have a thread, also those that nobody awaits any more;
    `waiting` more wait for one, at most so many `seconds`."""

    def __init__(
        self,
        look_up: Callable[[str, int], Sequence[str]] = look_up,
        *,
        at_once: int = 16,
        waiting: int = 128,
        seconds: float = 5.0,
    ) -> None:
        self._look_up = look_up
        self._free = asyncio.Semaphore(at_once)
        self._waiting = 0
        self._most_waiting = waiting
        self._seconds = seconds

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """The addresses of a host, as text. Raises OSError, UnicodeError; Unavailable when too many wait, or
        one for too long: that is not the name's fault."""
        if self._waiting >= self._most_waiting:
            raise Unavailable(cause=f"{self._waiting} names of images wait to be resolved")
        self._waiting += 1
        try:
            async with asyncio.timeout(self._seconds):
                await self._free.acquire()
        except TimeoutError as error:
            raise Unavailable(cause="names of images take all threads that resolve them") from error
        finally:
            self._waiting -= 1
        return await self._begun(host, port)

    def _begun(self, host: str, port: int) -> asyncio.Future[Sequence[str]]:
        loop = asyncio.get_running_loop()
        result: asyncio.Future[Sequence[str]] = loop.create_future()

        def run() -> None:
            try:
                tell: Callable[[], None] = partial(_found, result, self._look_up(host, port))
            except (OSError, UnicodeError) as error:
                tell = partial(_not_found, result, error)
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(self._ended, tell)

        # Not of an executor: nobody at shutdown shall wait for a name server that does not answer.
        Thread(target=run, name="image-name", daemon=True).start()
        return result

    def _ended(self, tell: Callable[[], None]) -> None:
        self._free.release()
        tell()


def _found(result: asyncio.Future[Sequence[str]], addresses: Sequence[str]) -> None:
    if not result.done():
        result.set_result(addresses)


def _not_found(result: asyncio.Future[Sequence[str]], error: Exception) -> None:
    if not result.done():
        result.set_exception(error)
