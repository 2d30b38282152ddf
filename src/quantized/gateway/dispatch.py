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


async def dispatch(
    to: Registered,
    call: UpstreamCall,
    begin: Callable[[UpstreamResponse], Awaitable[T]],
    *,
    patience: Patience,
    retry: RetryPolicy,
    clock: Clock,
    journal: Journal,
) -> T:
    """What `begin` makes of the first response that is an answer.

    `begin` raises the fault of an answer that is none, and may then be called again with a new response.
    Raises the fault of the last try. On any exception the connection is closed.
    """
    while True:
        journal.tries += 1
        try:
            return await _once(to, call, begin, patience, clock)
        except ProviderUnavailable as fault:
            wait = retry.wait(fault, journal.tries)
            if wait is None:
                raise
            _log.warning(
                "trying again",
                extra={"request_id": journal.request_id, "cause": fault.cause, "wait": wait},
            )
        await asyncio.sleep(wait)


async def _once(
    to: Registered,
    call: UpstreamCall,
    begin: Callable[[UpstreamResponse], Awaitable[T]],
    patience: Patience,
    clock: Clock,
) -> T:
    response: UpstreamResponse | None = None
    try:
        now = datetime.fromtimestamp(clock.now_ms() / 1000, UTC)
        response = await to.upstream.send(to.provider.authorize(call, now), patience)
        if response.status != 200:
            body = await response.read(_ERROR_BYTES)
            raise to.provider.decode_error(response.status, response.headers, body)
        return await begin(response)
    except BaseException as error:
        if response is not None:
            response.abort()
        if isinstance(error, UpstreamFailure):
            raise unavailable(error) from error
        raise


def unavailable(failure: UpstreamFailure) -> ProviderUnavailable:
    """A failure of the connection as the caller is told of it. Before any byte of an answer another try may
    help, unless time has already run out; later the provider has worked, and may have billed."""
    return ProviderUnavailable(
        cause=str(failure),
        retryable=failure.phase == "connect" or (failure.phase != "body" and not failure.timeout),
    )
