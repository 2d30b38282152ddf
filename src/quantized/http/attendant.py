"""Watching over a request while its handler waits for a provider.

The server does not cancel a handler whose client has gone, so somebody has to listen for it.
"""

import asyncio
from types import TracebackType
from typing import Self

from msgspec import Struct

from quantized.gateway.account import CLIENT_LEFT
from quantized.http.event_stream import EventStream
from quantized.http.messages import ClientLeft, Receive


class Watch(Struct, frozen=True):
    """Seconds: of silence before a comment keeps the connection alive; that a client may take nothing; that
    a request's body may take to arrive."""

    keep_alive: float
    stall: float
    body: float


_BEGIN_SECONDS = 0.25
"""How long a request lasts before somebody attends to it. Most are over by then, and a task for each would
cost them more than their share; the rest lose a quarter of the second in which a provider is told."""


class Attendant:
    """`async with`: the body is cancelled when the client leaves or takes nothing for too long, and the
    context then raises ClientLeft. With a stream, silence is filled with comments."""

    __slots__ = ("_begin", "_left", "_owner", "_receive", "_stream", "_task", "_watch")

    def __init__(self, receive: Receive, watch: Watch, stream: EventStream | None = None) -> None:
        self._receive = receive
        self._watch = watch
        self._stream = stream
        self._left = False
        self._owner: asyncio.Task[object] | None = None
        self._task: asyncio.Task[None] | None = None
        self._begin: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._owner = asyncio.current_task(loop)
        self._begin = loop.call_later(_BEGIN_SECONDS, self._start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
        elif self._begin is not None:
            self._begin.cancel()
        if self._left and self._owner is not None:
            # Ours, not somebody else's: the cancellation ends here.
            self._owner.uncancel()
            raise ClientLeft from error

    def _start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._attend())

    async def _attend(self) -> None:
        if self._stream is None:
            await self._disconnect()
        else:
            await self._disconnect_or_stall(self._stream)
        self._left = True
        if self._owner is not None:
            self._owner.cancel(CLIENT_LEFT)

    async def _disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def _disconnect_or_stall(self, stream: EventStream) -> None:
        listening = asyncio.ensure_future(self._disconnect())
        try:
            while (patience := self._watch.stall - stream.stalled) > 0:
                pause = min(self._watch.keep_alive - stream.quiet, patience)
                done, _ = await asyncio.wait((listening,), timeout=max(pause, 0.001))
                if done:
                    return
                if stream.quiet >= self._watch.keep_alive:
                    async with asyncio.timeout(self._watch.stall):
                        await stream.keep_alive()
        except TimeoutError:
            return
        finally:
            listening.cancel()
