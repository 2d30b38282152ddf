"""The outermost room: an id for every request, the door it goes through, and its line in the log."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from quantized.core.ids import mint_id
from quantized.core.ports import Clock
from quantized.gateway.journal import Journal
from quantized.http.messages import (
    INTERNAL_ERROR,
    JOURNAL,
    ClientLeft,
    Headers,
    Message,
    Receive,
    Scope,
    Send,
    respond,
)

_log = logging.getLogger("quantized")

_CLIENT_LEFT = 499
"""The status in the log of a request that nobody waited for, as nginx writes it. No client ever sees it."""


Endpoint = Callable[[Scope, Receive, Send, Journal, Headers], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Edge:
    """The ASGI application. `hot` maps the paths of POST endpoints that bypass the web framework `cold`;
    `tell` is told of each request when it has ended."""

    def __init__(
        self, hot: Mapping[str, Endpoint], cold: App, clock: Clock, tell: Callable[[Journal], None]
    ) -> None:
        self._hot = hot
        self._cold = cold
        self._clock = clock
        self._tell = tell
        self._running = 0
        self._idle: asyncio.Event | None = None

    async def drained(self) -> None:
        """Returns when every request that the server cancelled has ended."""
        if self._running:
            self._idle = asyncio.Event()
            await self._idle.wait()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._cold(scope, receive, send)
            return
        now = self._clock.now_ms()
        journal = Journal(request_id=mint_id("req", now), started_at=now, surface=scope["path"])
        headers = [(b"x-request-id", journal.request_id.encode())]
        self._running += 1
        endpoint = self._hot.get(scope["path"])
        if endpoint is not None and scope["method"] != "POST":
            endpoint = _post_only
        try:
            if endpoint is not None:
                await endpoint(scope, receive, send, journal, headers)
            else:
                scope[JOURNAL] = journal
                await self._cold(scope, receive, _tagged(send, journal, headers))
        except ClientLeft:
            journal.status = _CLIENT_LEFT
        except asyncio.CancelledError:
            journal.outcome = journal.outcome or "shut_down"
            raise
        except Exception as error:
            journal.error, journal.cause = type(error).__name__, "a fault of ours; the traceback follows"
            _log.exception("bug", extra={"request_id": journal.request_id})
            if journal.status == 0:
                journal.status = 500
                await respond(send, 500, INTERNAL_ERROR, headers)
            else:
                raise
        finally:
            journal.total_ms = self._clock.now_ms() - journal.started_at
            self._tell(journal)
            self._running -= 1
            if self._idle is not None and not self._running:
                self._idle.set()


async def _post_only(scope: Scope, _: Receive, send: Send, journal: Journal, headers: Headers) -> None:
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
