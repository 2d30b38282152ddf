"""AWS credentials that are there when a call needs them: looked for and renewed in the background."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from typing import TypeVar

from msgspec import Struct

from quantized.core.errors import ProviderUnavailable
from quantized.core.ports import Clock

_log = logging.getLogger("quantized.providers.bedrock")

T = TypeVar("T")


class AwsCredentials(Struct, frozen=True):
    """`expires_at`: Unix milliseconds, None for those that last. `source`: where they were found. What is
    secret is not shown when they are printed."""

    access_key: str
    secret_key: str
    token: str | None = None
    expires_at: int | None = None
    source: str = ""

    def __repr__(self) -> str:
        return f"AwsCredentials({self.access_key!r}, source={self.source!r}, expires_at={self.expires_at!r})"


class NoCredentials(Exception):
    """None were found, or they could not be renewed. The message is for the log."""


class Pace(Struct, frozen=True):
    """Seconds. Credentials are renewed `ahead` of their end, or at half of their life if that is later; those
    without an end are looked for again after `lasting`, because a file may have changed. After a failure the
    next try comes after `shortest`, then after twice that, up to `longest`. A look that takes longer than
    `look` has failed."""

    ahead: float = 900.0
    lasting: float = 300.0
    shortest: float = 1.0
    longest: float = 60.0
    look: float = 120.0

    def after_success(self, life: float | None) -> float:
        """The wait until the next renewal of credentials that live so long, None for ever."""
        if life is None:
            return self.lasting
        return max(self.shortest, life - min(self.ahead, life / 2))

    def after_failures(self, count: int) -> float:
        return min(self.longest, self.shortest * 2.0 ** min(count - 1, 30))


class CredentialKeeper:
    """Holds the credentials in force.

    `find` blocks and is called in a thread of its own, once at a time save for calls that were given up. It
    returns what there is now, renewed where it had to be, or raises NoCredentials.
    """

    def __init__(self, find: Callable[[], AwsCredentials], clock: Clock, pace: Pace | None = None) -> None:
        self._find = find
        self._clock = clock
        self._pace = pace or Pace()
        self._found: AwsCredentials | None = None
        self._trouble = "AWS credentials are still being looked for"
        self._looked = asyncio.Event()

    def current(self, now: int) -> AwsCredentials:
        """The credentials to use at `now` (Unix milliseconds). Raises ProviderUnavailable."""
        found = self._found
        if found is None:
            raise ProviderUnavailable(cause=self._trouble, alert=True)
        if found.expires_at is not None and found.expires_at <= now:
            raise ProviderUnavailable(cause=f"the AWS credentials have expired: {self._trouble}", alert=True)
        return found

    async def looked(self, within: float) -> bool:
        """Whether somebody has looked once, with success or without; waits for that, so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._looked.wait()
        return self._looked.is_set()

    async def run(self) -> None:
        """Keeps them fresh until cancelled."""
        failures = 0
        while True:
            try:
                async with asyncio.timeout(self._pace.look):
                    found = await _in_thread(self._find)
            except (NoCredentials, TimeoutError) as error:
                failures += 1
                wait = self._pace.after_failures(failures)
                self._failed(str(error) or f"no answer within {self._pace.look:g} seconds", wait)
            else:
                failures = 0
                wait = self._renewed(found)
            self._looked.set()
            await asyncio.sleep(wait)

    def _renewed(self, found: AwsCredentials) -> float:
        if found != self._found:
            told = {"source": found.source, "access_key": found.access_key, "expires_at": found.expires_at}
            _log.info("AWS credentials", extra=told)
            # Only then: who has derived something from those that are there may keep it.
            self._found = found
        self._trouble = "they were not renewed in time"
        life = None if found.expires_at is None else (found.expires_at - self._clock.now_ms()) / 1000
        return self._pace.after_success(life)

    def _failed(self, trouble: str, wait: float) -> None:
        self._trouble = trouble
        found = self._found
        usable = found is not None and (found.expires_at is None or found.expires_at > self._clock.now_ms())
        _log.log(
            logging.WARNING if usable else logging.ERROR,
            "AWS credentials could not be renewed" if usable else "there are no AWS credentials",
            extra={"cause": trouble, "next_try_seconds": wait},
        )


def _in_thread(work: Callable[[], T]) -> asyncio.Future[T]:
    """Not in the loop's pool: nobody at shutdown shall wait for a metadata service that does not answer."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def done(value: T | None, error: Exception | None) -> None:
        if result.cancelled():
            return
        if error is None:
            result.set_result(value)  # type: ignore[arg-type]  # of T, where there is no error
        else:
            result.set_exception(error)

    def run() -> None:
        value: T | None = None
        failure: Exception | None = None
        try:
            value = work()
        except Exception as error:  # noqa: BLE001 - it is told to whoever awaits the result
            failure = error
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(done, value, failure)

    Thread(target=run, name="aws-credentials", daemon=True).start()
    return result
