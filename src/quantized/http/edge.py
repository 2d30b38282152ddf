"""The outermost room: an id for every request, the door it goes through, and its line in the log."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from quantized.core.ids import mint_id
from quantized.core.ports import Clock
from quantized.gateway.journal import Journal
from quantized.http.asgi import AsgiApp
from quantized.http.connection import Direct
from quantized.http.cors import Cors
from quantized.http.direct import DirectExchange
from quantized.http.messages import (
    INTERNAL_ERROR,
    JOURNAL,
    UNAVAILABLE,
    Headers,
    Message,
    Receive,
    Scope,
    Send,
    respond,
)
from quantized.http.refusals import Refusal

_log = logging.getLogger("quantized")

_CLIENT_LEFT = 499
"""The status in the log of a request that nobody waited for, as nginx writes it. No client ever sees it."""


Endpoint = Callable[[DirectExchange, Journal], Awaitable[None]]


class Edge:
    """Two doors. `direct` answers POST to the paths of `hot` without a web framework; `asgi` leads everything
    else to `cold`, the web framework. `tell` is told of each request when it has ended."""

    def __init__(
        self,
        hot: Mapping[str, Endpoint],
        cold: AsgiApp,
        clock: Clock,
        tell: Callable[[Journal], None],
        origins: Iterable[str] = (),
    ) -> None:
        """`origins` of the pages that may call from a browser."""
        self._cold = cold
        self._clock = clock
        self._tell = tell
        self._running = 0
        self._idle: asyncio.Event | None = None
        self._cors = Cors(frozenset(origins)) if origins else None
        self.direct: Mapping[str, Direct] = {
            path: partial(self._answer, endpoint) for path, endpoint in hot.items()
        }
        self.asgi: AsgiApp = self._cold_request if self._cors is None else self._cors.app(self._cold_request)

    def refused(self, refusal: Refusal) -> Headers:
        """What was no request has its line in the log as well, which names nothing of it."""
        now = self._clock.now_ms()
        journal = Journal(request_id=mint_id("req", now), started_at=now, surface="connection")
        journal.status, journal.code = int(refusal.status), refusal.code
        journal.total_ms = 0
        self._tell(journal)
        return [(b"x-request-id", journal.request_id.encode())]

    async def drained(self) -> None:
        """Returns when every request that the server cancelled has ended."""
        if self._running:
            self._idle = asyncio.Event()
            await self._idle.wait()

    async def _answer(self, endpoint: Endpoint, exchange: DirectExchange) -> None:
        journal = self._begin(exchange.path)
        exchange.standing.append((b"x-request-id", journal.request_id.encode()))
        if self._cors is not None:
            exchange.standing.extend(self._cors.headers(exchange.header(b"origin")))
        try:
            await endpoint(exchange, journal)
        except asyncio.CancelledError:
            if not exchange.left:
                journal.outcome = journal.outcome or "shut_down"
                if not exchange.begun:
                    journal.status = 503
                    exchange.respond(503, UNAVAILABLE)
                raise
            # Nobody else waits for this task, so the cancellation ends here.
        except Exception as error:  # noqa: BLE001 - there is nobody behind us; it is answered below
            self._bug(error, journal)
            if not exchange.begun:
                journal.status = 500
        finally:
            if exchange.left:
                journal.status = _CLIENT_LEFT
            elif not exchange.begun:
                exchange.respond(500, INTERNAL_ERROR)
            exchange.cut()
            self._end(journal)

    async def _cold_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._cold(scope, receive, send)
            return
        journal = self._begin(scope["path"])
        headers = [(b"x-request-id", journal.request_id.encode())]
        try:
            if scope["path"] in self.direct:
                await _post_only(scope, send, journal, headers)
            else:
                scope[JOURNAL] = journal
                await self._cold(scope, receive, _tagged(send, journal, headers))
        except asyncio.CancelledError:
            journal.outcome = journal.outcome or "shut_down"
            raise
        except Exception as error:
            self._bug(error, journal)
            if journal.status:
                raise
            journal.status = 500
            await respond(send, 500, INTERNAL_ERROR, headers)
        finally:
            self._end(journal)

    def _begin(self, path: str) -> Journal:
        self._running += 1
        now = self._clock.now_ms()
        return Journal(request_id=mint_id("req", now), started_at=now, surface=path)

    def _bug(self, error: Exception, journal: Journal) -> None:
        journal.error, journal.cause = type(error).__name__, "a fault of ours; the traceback follows"
        _log.exception("bug", extra={"request_id": journal.request_id})

    def _end(self, journal: Journal) -> None:
        journal.total_ms = self._clock.now_ms() - journal.started_at
        self._tell(journal)
        self._running -= 1
        if self._idle is not None and not self._running:
            self._idle.set()


async def _post_only(scope: Scope, send: Send, journal: Journal, headers: Headers) -> None:
    journal.status = 405
    message = f"{scope['method']} {scope['path']} is not possible; allowed: POST"
    body = {"error": {"message": message, "type": "invalid_request_error", "code": None, "param": None}}
    await respond(send, 405, msgspec.json.encode(body), [*headers, (b"allow", b"POST")])


def _tagged(send: Send, journal: Journal, headers: Headers) -> Send:
    """`send` with our headers on the response, and its status noted."""

    async def tagging(message: Message) -> None:
        if message["type"] == "http.response.start":
            journal.status = message["status"]
            present: list[Any] = list(message.get("headers", ()))
            message = {**message, "headers": [*present, *headers]}
        await send(message)

    return tagging
