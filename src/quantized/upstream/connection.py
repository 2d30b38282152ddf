"""One TCP or TLS connection to an origin. It serves one exchange after the other."""

import asyncio
import ssl
from math import inf
from typing import Protocol, cast

from quantized.upstream.deadlines import Sweeper
from quantized.upstream.request import Origin


def in_words(error: BaseException) -> str:
    """What went wrong; some errors of the network carry no words of their own."""
    return str(error) or type(error).__name__


class Listener(Protocol):
    """The exchange that a connection is serving. Each call comes from the event loop."""

    def received(self, data: bytes) -> None: ...

    def ended(self) -> None:
        """The server has closed its side, and meant to."""

    def lost(self, cause: str) -> None:
        """The connection is gone."""

    def writable(self) -> None:
        """All that was written has left for the kernel."""

    def expire(self) -> None:
        """The deadline has passed."""

    def abort(self) -> None: ...


class Keeper(Protocol):
    """Whoever owns the connections."""

    def lost(self, connection: "Connection") -> None: ...

    def free(self, connection: "Connection") -> None:
        """Its exchange is over and it is fit for another."""


class Connection(asyncio.Protocol):
    """The transport's side of an exchange: bytes in, bytes out, flow control, and the current deadline.

    Bytes or an end that come while no exchange listens close the connection.
    """

    transport: asyncio.Transport

    def __init__(self, origin: Origin, keeper: Keeper, sweeper: Sweeper) -> None:
        self.origin = origin
        self.keeper = keeper
        self._sweeper = sweeper
        self.now = asyncio.get_running_loop().time
        self.heard_at = 0.0
        """When the time began that may pass in silence. Whoever hears something sets it to `now()`: that, and
        no deadline, is what each piece costs."""
        self._seconds = inf
        self._at_most = inf
        self.listener: Listener | None = None
        self.writing_paused = False
        self.is_lost = False

    def attach(self, transport: asyncio.Transport) -> None:
        """Speaks through `transport` from now on."""
        self.transport = transport

    def write_exactly(self) -> None:
        """From now on writing is paused until the last byte has left."""
        self.transport.set_write_buffer_limits(high=1, low=0)

    @property
    def deadline(self) -> float:
        """In the loop's time; `inf` for none."""
        return min(self.heard_at + self._seconds, self._at_most)

    def expect_within(self, seconds: float, at_most: float = inf) -> None:
        """Sets the deadline: so many seconds after something was heard, now to begin with, but not beyond
        `at_most` in the loop's time."""
        self.heard_at = now = self.now()
        self._seconds = seconds
        self._at_most = at_most
        deadline = min(now + seconds, at_most)
        if deadline < self._sweeper.wakes_at:
            self._sweeper.wake_by(deadline)

    def abort(self) -> None:
        """Closes at once. Tells the listener nothing."""
        self.listener = None
        self.expect_within(inf)
        self.transport.abort()

    def close(self) -> None:
        """Closes at once, and aborts the exchange that is under way."""
        if self.listener is None:
            self.abort()
        else:
            self.listener.abort()

    def expire(self) -> None:
        """Called when the deadline has passed."""
        if self.listener is None:
            self.abort()
        else:
            self.listener.expire()

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.attach(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        if self.listener is None:
            self.abort()
        else:
            self.listener.received(data)

    def eof_received(self) -> None:
        if self.listener is not None and self._end_was_meant():
            self.listener.ended()

    def connection_lost(self, exc: Exception | None) -> None:
        listener, self.listener = self.listener, None
        self.expect_within(inf)
        self.is_lost = True
        self.keeper.lost(self)
        if listener is not None:
            listener.lost(
                "the connection was closed" if exc is None else f"the connection was lost: {in_words(exc)}"
            )

    def _end_was_meant(self) -> bool:
        """Under TLS only its own end tells that nobody on the way has cut the connection. Not every loop
        keeps the two apart. Where it was not meant, the loss of the connection follows."""
        tls = self.transport.get_extra_info("ssl_object")
        if tls is None:
            return True
        try:
            return not tls.read(1)
        except ssl.SSLError:
            return False

    def pause_writing(self) -> None:
        self.writing_paused = True

    def resume_writing(self) -> None:
        self.writing_paused = False
        if self.listener is not None:
            self.listener.writable()
