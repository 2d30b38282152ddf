"""One request of a client, and the response to it: what every exchange on a connection has."""

import asyncio
from collections.abc import Coroutine, Iterable
from http import HTTPStatus
from typing import Any, Protocol

from quantized.http.head import RequestHead
from quantized.http.messages import Headers

_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus
}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_READ_AHEAD = 64 * 1024
"""Bytes of a body that are taken in before anybody asks for it."""


class Line(Protocol):
    """The connection, as an exchange on it sees it."""

    transport: asyncio.Transport
    writing_paused: bool

    @property
    def default_headers(self) -> Headers: ...

    @property
    def ends(self) -> bool:
        """Nothing is to follow the response that begins now."""

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """As a task that the server knows of when it stops."""

    def close(self) -> None:
        """Once what was written has left."""

    def over(self, exchange: "Exchange") -> None:
        """The response is complete."""


class Exchange:
    """A request whose head has arrived. The connection tells it of the body (`received`, `ended`), that the
    client takes bytes again (`writable`) and that it is gone (`forsaken`)."""

    __slots__ = (
        "_chunked",
        "_owes_continue",
        "_pieces",
        "_size",
        "_waiter",
        "begun",
        "bodyless",
        "complete",
        "head",
        "keeps_alive",
        "left",
        "line",
        "whole",
    )

    def __init__(self, line: Line, head: RequestHead) -> None:
        self.line = line
        self.head = head
        self._pieces: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._owes_continue = head.modern and head.fields.get(b"expect", b"").lower() == b"100-continue"
        self._chunked = False
        self.bodyless = False
        self.whole = False
        """All of the request has arrived."""
        self.begun = False
        """The head of the response has been written."""
        self.keeps_alive = False
        """As the response says: another request may follow."""
        self.complete = False
        """All of the response has been written."""
        self.left = False
        """The client is gone, and did not wait for the end."""

    # What the connection tells.

    def start(self) -> None:
        """Its turn has come: those that were asked before it are answered."""
        raise NotImplementedError

    def received(self, piece: bytes) -> None:
        if self.complete:
            return  # Nobody wants it any more, but it has to be read to get at what follows.
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > _READ_AHEAD:
            self.line.pause_reading()
        self._wake()

    def ended(self) -> None:
        self.whole = True
        self._wake()

    def writable(self) -> None:
        self._wake()

    def forsaken(self) -> None:
        """The client is gone."""
        if not self.complete:
            self.left = True
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        """Until the connection has told something."""
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def _drain(self) -> None:
        """Until the client takes more, or is gone."""
        while self.line.writing_paused and not self.left:
            await self._wait()

    # The request.

    async def _next_piece(self) -> bytes:
        """What has arrived of the body since the last call; b"" once it is whole, or the client is gone."""
        if self._owes_continue and not (self.whole or self.begun or self.left):
            self._owes_continue = False
            self.line.transport.write(_CONTINUE)
        self.line.resume_reading()
        while not (self._pieces or self.whole or self.left):
            await self._wait()
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._size = 0
        return data

    # The response.

    def _response_head(
        self,
        status: int,
        headers: Iterable[tuple[bytes, bytes]],
        length: int | None,
        *,
        tells_kept: bool = False,
    ) -> bytes:
        """`length` in bytes; None where the framing is to tell the end. `tells_kept`: that the connection is
        kept is said, not only that it is not. Raises ValueError for a header that would be read as two."""
        self.begun = True
        # Not after a request whose body was never asked for: whether the client sends it all the same nobody
        # could tell, nor where the next request begins.
        self.keeps_alive = (
            self.head.keep_alive and (self.whole or not self._owes_continue) and not self.line.ends
        )
        fields = [*self.line.default_headers, *headers]
        lines = b"".join([b"%b: %b\r\n" % field for field in fields])
        if lines.count(b"\n") != len(fields) or lines.count(b"\r") != len(fields):
            raise ValueError("a line break in a response header")
        if self.bodyless or length is not None:
            framing = b"" if length is None else b"content-length: %d\r\n" % length
        elif self.head.modern:
            self._chunked = True
            framing = b"transfer-encoding: chunked\r\n"
        else:
            framing = b""  # The end of the connection, which such a client's request always is.
        if not self.keeps_alive:
            connection = b"connection: close\r\n"
        else:
            connection = b"connection: keep-alive\r\n" if tells_kept else b""
        return b"%b%b%b%b\r\n" % (_status_line(status), lines, framing, connection)

    def _framed(self, body: bytes, *, last: bool = False) -> bytes:
        """A piece of the body as it is written."""
        if not self._chunked:
            return body
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        return chunk + b"0\r\n\r\n" if last else chunk

    def cut(self) -> None:
        """Ends a response that cannot be completed: the client sees that its end is missing."""
        if not (self.complete or self.left):
            self.left = True
            self.line.close()

    def _finish(self) -> None:
        self.complete = True
        self._pieces.clear()
        self.line.over(self)


def _status_line(status: int) -> bytes:
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
