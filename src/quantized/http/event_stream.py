"""Server-sent events to one client: what is written, when it was, and whether the client takes it."""

from collections.abc import Awaitable, Callable, Generator, Iterable
from types import coroutine
from typing import Any

from quantized.http.messages import Send

_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"connection", b"keep-alive"),
    (b"x-accel-buffering", b"no"),
)

_KEEP_ALIVE = b": keep-alive\n\n"


class EventStream:
    """`monotonic` gives seconds. One writer at a time; `keep_alive` may be called by another task."""

    __slots__ = ("_begun", "_monotonic", "_send", "_since", "_writing")

    def __init__(self, send: Send, monotonic: Callable[[], float]) -> None:
        self._send = send
        self._monotonic = monotonic
        self._begun = False
        self._writing = False
        self._since = monotonic()
        """When the last write ended, or the one under way began."""

    async def begin(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": [*_HEADERS, *headers]})
        self._begun = True

    async def write(self, frames: bytes) -> None:
        """Returns when the client can take more."""
        rest = self.push(frames)
        if rest is not None:
            await rest

    def push(self, frames: bytes) -> Awaitable[None] | None:
        """`write`, for whoever is no task: the server's `send` waits for nothing as long as the client takes
        what it is sent, so its first step is nearly always the only one. Returns None then, else what is to
        be awaited for the rest."""
        if not frames:
            return None
        self._writing = True
        self._since = self._monotonic()
        sending = self._send({"type": "http.response.body", "body": frames, "more_body": True}).__await__()
        try:
            waits_for = next(sending)
        except StopIteration:
            self._writing = False
            return None
        return self._rest(sending, waits_for)

    @coroutine
    def _rest(self, sending: Generator[Any, Any, None], waits_for: object) -> Generator[Any, Any, None]:
        """`sending`, which has begun and waits for something, to its end."""
        try:
            yield waits_for
            yield from sending
        finally:
            sending.close()
        self._writing = False

    async def end(self, frames: bytes) -> None:
        self._writing = True
        await self._send({"type": "http.response.body", "body": frames})

    @property
    def quiet(self) -> float:
        """Seconds of silence towards the client; 0 while a write waits for it, or before it began."""
        return self._monotonic() - self._since if self._begun and not self._writing else 0.0

    @property
    def stalled(self) -> float:
        """Seconds for which a client has not taken what is being written to it."""
        return self._monotonic() - self._since if self._writing else 0.0

    async def keep_alive(self) -> None:
        await self.write(_KEEP_ALIVE)
