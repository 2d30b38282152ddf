"""An exchange of a hot endpoint: the body as one value, the response in one write or as server-sent events.

Written to and read from where the bytes are: no message passes between two tasks, and a client that leaves
cancels the task that works for it the moment its connection is lost.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from msgspec import Struct

from quantized.core.errors import BodyTooLarge, InvalidValue, MalformedBody
from quantized.gateway.account import CLIENT_LEFT
from quantized.http.exchange import Exchange, Line
from quantized.http.head import RequestHead
from quantized.http.messages import JSON, Headers

_EVENT_STREAM = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)

_KEEP_ALIVE = b": keep-alive\n\n"


class Watch(Struct, frozen=True):
    """Seconds: of silence before a comment keeps the connection alive; that a client may take nothing; that
    a request's body may take to arrive."""

    keep_alive: float
    stall: float
    body: float


class DirectExchange(Exchange):
    """`standing` are headers that go with the response, whichever it is."""

    __slots__ = ("_alarm", "_answer", "_now", "_task", "_written_at", "path", "standing")

    def __init__(
        self,
        line: Line,
        head: RequestHead,
        path: str,
        answer: Callable[["DirectExchange"], Coroutine[Any, Any, None]],
    ) -> None:
        super().__init__(line, head)
        self.path = path
        self.standing: Headers = []
        self._answer = answer
        self._task: asyncio.Task[None] | None = None
        self._now = asyncio.get_running_loop().time
        self._alarm: asyncio.TimerHandle | None = None
        self._written_at = 0.0

    def start(self) -> None:
        self._task = self.line.run(self._answer(self))

    def forsaken(self) -> None:
        if not self.complete:
            self.left = True
            self._disarm()
            if self._task is not None:
                self._task.cancel(CLIENT_LEFT)

    def header(self, name: bytes) -> str | None:
        """The value of a request header, whose `name` is lower-case; the first one where it is repeated."""
        value = self.head.fields.get(name)
        return None if value is None else value.decode("latin-1")

    # The body.

    async def read_body(self, limit: int, seconds: float) -> bytes:
        """The request's body. Raises BodyTooLarge above `limit` bytes, InvalidValue for a compressed body,
        MalformedBody for one that has not arrived after so many `seconds`."""
        encoding = self.header(b"content-encoding")
        if encoding is not None and encoding.lower() != "identity":
            raise InvalidValue(
                f"Content-Encoding '{encoding[:32]}' is not supported: send the body as plain JSON",
                param="Content-Encoding",
            )
        declared = self.header(b"content-length")
        if declared is not None and int(declared) > limit:
            raise _too_large(declared, limit)
        if self.whole:
            # It came with the head, as nearly every body does: there is nothing to wait for.
            return await self._body(limit)
        try:
            async with asyncio.timeout(seconds):
                return await self._body(limit)
        except TimeoutError as error:
            raise MalformedBody(
                f"The request body did not arrive within {seconds:g} seconds", code="body_too_slow"
            ) from error

    async def _body(self, limit: int) -> bytes:
        body = await self._next_piece()
        if self.whole and len(body) <= limit and not self._pieces:
            return body
        pieces = [body]
        size = len(body)
        while size <= limit:
            piece = await self._next_piece()
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
        raise _too_large(f"more than {limit}", limit)

    # The response, whole.

    def respond(self, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """One whole JSON response."""
        if self.left:
            return
        head = self._response_head(status, (JSON, *headers, *self.standing), len(body))
        self.line.transport.write(head + body)
        self._finish()

    # The response as server-sent events.

    def begin_events(self, headers: Headers, watch: Watch) -> None:
        """From now on silence is filled with comments, and a client that takes nothing for too long is not
        waited for."""
        if self.left:
            return
        told = (*_EVENT_STREAM, *headers, *self.standing)
        head = self._response_head(200, told, None, tells_kept=True)
        self.line.transport.write(head)
        self._written_at = self._now()
        self._arm(watch)

    def push(self, frames: bytes) -> Awaitable[None] | None:
        """Writes frames (or b""), each of them whole. None where the client takes them; else what to await
        before the next."""
        if not frames or self.left:
            return None
        self._written_at = self._now()
        line = self.line
        # `_framed`, without the call: this is done for each piece of every stream.
        line.transport.write(b"%x\r\n%b\r\n" % (len(frames), frames) if self._chunked else frames)
        return self._drain() if line.writing_paused else None

    def end(self, frames: bytes) -> None:
        """The last frames, and with them the end of the response."""
        self._disarm()
        if self.left:
            return
        self.line.transport.write(self._framed(frames, last=True))
        self._finish()

    def cut(self) -> None:
        self._disarm()
        super().cut()

    def _arm(self, watch: Watch) -> None:
        patience = watch.stall if self.line.writing_paused else min(watch.keep_alive, watch.stall)
        loop = asyncio.get_running_loop()
        self._alarm = loop.call_at(self._written_at + patience, self._look, watch)

    def _disarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _look(self, watch: Watch) -> None:
        """Rings when the client may have been silent, or been left in silence, for too long. What was written
        meanwhile has only moved the moment: no timer is set for each piece."""
        # A loop may ring a millisecond early.
        quiet = self._now() - self._written_at + 0.001
        if not self.line.writing_paused:
            if quiet >= watch.keep_alive:
                self.push(_KEEP_ALIVE)
        elif quiet >= watch.stall:
            self.line.transport.abort()
            return
        self._arm(watch)


def _too_large(found: str, limit: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"The request body is too large: {found} bytes, at most {limit} are accepted", code="body_too_large"
    )
