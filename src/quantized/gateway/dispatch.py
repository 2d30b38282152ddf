"""Getting an answer to begin: authorize, send, judge the status, read the beginning, perhaps try again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

from quantized.core.errors import ProviderUnavailable
from quantized.core.ports import Clock
from quantized.gateway.journal import Journal
from quantized.gateway.retry import RetryPolicy
from quantized.providers.provider import UpstreamCall
from quantized.providers.registry import Registered
from quantized.upstream.call import Patience, UpstreamFailure, UpstreamResponse

_log = logging.getLogger("quantized.gateway")

_ERROR_BYTES = 1024 * 1024
"""How much of a provider's error answer is read at most."""

T = TypeVar("T")
Begin = Callable[[UpstreamResponse, float], Awaitable[T]]


class Dispatch:
    """Tries to get one call answered. `under_way`: a request is with the provider, who may be working on it
    and may bill it; not so while it is being sent, between two tries, nor once it has refused."""

    def __init__(
        self, to: Registered, patience: Patience, retry: RetryPolicy, clock: Clock, journal: Journal
    ) -> None:
        self._to = to
        self._patience = patience
        self._retry = retry
        self._clock = clock
        self._journal = journal
        self.under_way = False

    async def begin(self, call: UpstreamCall, read: Begin[T]) -> T:
        """What `read` makes of the first response that is an answer.

        `read` gets the response and the moment (in the loop's time) since which its first byte is waited
        for. It raises the fault of an answer that is none, and may then be called again with a new response.
        Raises the fault of the last try. On any exception the connection is closed.
        """
        journal = self._journal
        while True:
            journal.tries += 1
            try:
                return await self._once(call, read)
            except ProviderUnavailable as fault:
                wait = self._retry.wait(fault, journal.tries)
                if wait is None:
                    raise
                _log.warning(
                    "trying again",
                    extra={"request_id": journal.request_id, "cause": fault.cause, "wait": wait},
                )
            await asyncio.sleep(wait)

    async def _once(self, call: UpstreamCall, read: Begin[T]) -> T:
        to = self._to
        response: UpstreamResponse | None = None
        try:
            now = datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC)
            authorized = to.provider.authorize(call, now)
            since = asyncio.get_running_loop().time()
            response = await to.upstream.send(authorized, self._patience, self._sent)
            if response.status != 200:
                self.under_way = False
                body = await response.read(_ERROR_BYTES)
                raise to.provider.decode_error(response.status, response.headers, body)
            return await read(response, since)
        except BaseException as error:
            if response is not None:
                response.abort()
            if not isinstance(error, asyncio.CancelledError):
                self.under_way = False
            if isinstance(error, UpstreamFailure):
                raise unavailable(error) from error
            raise

    def _sent(self, whole: bool) -> None:
        self.under_way = whole


def unavailable(failure: UpstreamFailure) -> ProviderUnavailable:
    """A failure of the connection as the caller is told of it. Before any byte of an answer another try may
    help, unless time has already run out; later the provider has worked, and may have billed."""
    return ProviderUnavailable(
        cause=str(failure),
        retryable=failure.phase == "connect" or (failure.phase != "body" and not failure.timeout),
    )
