"""One request and its response on one connection."""

import asyncio
from collections.abc import Callable, Mapping
from math import inf

from quantized.upstream.call import Patience, Phase, Sent, UpstreamFailure, unheard
from quantized.upstream.connection import Connection
from quantized.upstream.message import Message

# A body beyond this many bytes is written piece by piece, each when the one before has left: no second copy
# of it is made, each piece that leaves is a sign of life, and an early answer is seen between two pieces. A
# smaller one counts as sent when it has been handed over: the kernel has room for it, or soon will.
_PIECE = 64 * 1024


def _drop(_: bytes) -> bool:
    """Takes a piece that nobody wants."""
    return True


class Unanswered(UpstreamFailure):
    """The connection was closed before the first byte of a response."""


class Exchange:
    """An `UpstreamResponse`, once `send` has returned.

    It holds the connection until the response has wholly arrived, not until it has been read: then the
    connection is free for another exchange, and what has not been read yet stays here.
    """

    __slots__ = (
        "_answered",
        "_buffer_bytes",
        "_connection",
        "_failure",
        "_loop",
        "_message",
        "_patience",
        "_reading_paused",
        "_sending",
        "_sent",
        "_take_piece",
        "_total_at",
        "_unread",
        "_waiter",
    )

    def __init__(
        self,
        message: Message,
        patience: Patience,
        *,
        total_at: float,
        buffer_bytes: int,
    ) -> None:
        """`total_at`, in the loop's time, ends everything. Beyond `buffer_bytes` unread, reading pauses."""
        self._loop = asyncio.get_running_loop()
        self._connection: Connection | None = None
        self._message = message
        self._patience = patience
        self._total_at = total_at
        self._buffer_bytes = buffer_bytes
        self._failure: UpstreamFailure | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._take_piece: Callable[[bytes], bool] | None = None
        self._sending = True
        self._sent = False
        self._answered = False
        self._reading_paused = False
        self._unread = 0

    @property
    def status(self) -> int:
        return self._message.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._message.headers

    async def send(
        self, connection: Connection, head: bytes, body: bytes, sent: Sent = unheard
    ) -> "Exchange":
        """Returns itself when the response's head has arrived. Raises UpstreamFailure."""
        self._connection = connection
        connection.listener = self
        message = self._message
        if len(body) <= _PIECE:
            self._write(connection, head + body)
        else:
            await self._write_pieces(connection, head, body)
        self._sending = False
        self._sent = not self._is_over()
        sent(self._sent)
        self._expect_within(self._patience.idle if message.has_head else self._patience.first_byte)
        while not message.has_head:
            if self._failure is not None:
                raise self._failure
            await self._wait()
        self._answered = True
        return self

    def arrived(self) -> bytes:
        return self._take()

    async def next(self) -> bytes:
        while not self._message.chunks and not self._ended():
            await self._wait()
        return self._take()

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        while True:
            if piece := self._take():
                if not take(piece):
                    return False
            elif self._ended():
                return True
            else:
                # From here until we are woken each piece is taken as it is received: to wake a task for it
                # would cost 15 µs.
                self._take_piece = take
                if await self._wait():
                    return False

    async def read(self, limit: int) -> bytes:
        if self._message.complete and self._failure is None:
            # It came with its head, as most answers that are not streamed do.
            whole = self._take()
            self._check_size(len(whole), limit)
            return whole
        pieces = []
        size = 0
        while piece := self._take() or await self.next():
            size += len(piece)
            self._check_size(size, limit)
            pieces.append(piece)
        return b"".join(pieces)

    def _check_size(self, size: int, limit: int) -> None:
        if size > limit:
            self.abort()
            raise UpstreamFailure("body", f"the response is longer than {limit} bytes")

    def let_go(self, seconds: float) -> None:
        connection = self._connection
        if connection is None:
            return
        self._total_at = min(self._total_at, self._loop.time() + seconds)
        self._take()
        self._expect_within(self._patience.idle)
        self._take_piece = _drop

    def abort(self) -> None:
        self._message.chunks.clear()
        self._fail(UpstreamFailure(self._phase, "aborted", aborted=True))

    @property
    def _phase(self) -> Phase:
        if self._message.has_head:
            return "body"
        return "send" if self._sending else "first_byte"

    def _is_over(self) -> bool:
        """Whether nobody wants the rest of the request: the exchange has ended, or the server has refused."""
        return self._connection is None or (self._message.has_head and self._message.status >= 300)

    def _write(self, connection: Connection, data: bytes | memoryview) -> None:
        if not connection.transport.is_closing():
            connection.transport.write(data)

    async def _drain(self, connection: Connection) -> None:
        """Until all that was written has left, or nobody wants it any more."""
        while connection.writing_paused and not self._is_over():
            self._expect_within(self._patience.idle)
            await self._wait()

    async def _write_pieces(self, connection: Connection, head: bytes, body: bytes) -> None:
        connection.write_exactly()
        self._write(connection, head)
        view = memoryview(body)
        for start in range(0, len(body), _PIECE):
            await self._drain(connection)
            # One turn of the loop, in which it reads what has arrived: to write to a server that has answered
            # and closed would lose its answer to the error.
            self._loop.call_soon(self._wake)
            await self._wait()
            if self._is_over():
                return
            self._write(connection, view[start : start + _PIECE])
        await self._drain(connection)

    def _ended(self) -> bool:
        """Whether the response has come to its proper end. Raises the failure it ended with instead."""
        if self._failure is not None:
            raise self._failure
        return self._message.complete

    def _take(self) -> bytes:
        self._unread = 0
        connection = self._connection
        if self._reading_paused and connection is not None:
            self._reading_paused = False
            connection.transport.resume_reading()
            self._expect_within(self._patience.idle)
        return self._message.take()

    async def _wait(self) -> bool:
        """Until something has happened, or nothing: look again. True: a piece has been taken, and was the
        last that is wanted. Cancelled, it closes the connection."""
        if self._waiter is not None:
            raise RuntimeError("somebody else is waiting for this response")
        self._waiter = self._loop.create_future()
        try:
            return await self._waiter
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            self._waiter = None
            self._take_piece = None

    def _wake(self) -> None:
        # What arrives before the woken task runs is kept for it.
        self._take_piece = None
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(False)

    def _expect_within(self, seconds: float) -> None:
        if self._connection is not None:
            self._connection.expect_within(seconds, self._total_at)

    def _complete(self, connection: Connection) -> None:
        """The response has wholly arrived."""
        self._connection = None
        if self._message.keep_alive and self._sent:
            if self._reading_paused:
                connection.transport.resume_reading()
            connection.listener = None
            connection.keeper.free(connection)
        else:
            connection.abort()
        self._wake()

    def _fail(self, failure: UpstreamFailure) -> None:
        """Ends the exchange, and the connection with it. The first failure counts."""
        if self._failure is None:
            self._failure = failure
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
            if not self._message.over:
                self._message.cut(failure.cause)
        self._wake()

    # Called by the connection.

    def received(self, data: bytes) -> None:
        connection = self._connection
        if connection is None:
            return
        message = self._message
        message.feed(data)
        if message.fault is not None:
            self._fail(UpstreamFailure(self._phase, message.fault))
        elif message.complete:
            self._complete(connection)
        elif self._take_piece is not None:
            # Nearly always: somebody pours. What is not called here costs each piece of each stream nothing.
            connection.heard_at = connection.now()
            chunks = message.chunks
            if not chunks:
                return
            piece = message.take() if len(chunks) > 1 else chunks.pop()
            try:
                if not self._take_piece(piece):
                    self._poured(None)
            except Exception as error:  # noqa: BLE001  it is the waiting task's, not the connection's
                self._poured(error)
        elif message.has_head:
            self._keep(connection, len(data))

    def _poured(self, error: Exception | None) -> None:
        """No more is taken where it is received: the waiting task goes on."""
        waiter, self._take_piece = self._waiter, None
        if waiter is None or waiter.done():
            return
        if error is None:
            waiter.set_result(True)
        else:
            waiter.set_exception(error)

    def _keep(self, connection: Connection, size: int) -> None:
        """A piece has arrived that nobody takes at once."""
        message = self._message
        self._unread += size
        if self._unread > self._buffer_bytes and message.chunks:
            self._pause_reading(connection)
        elif not self._sending:
            connection.expect_within(self._patience.idle, self._total_at)
        if message.chunks or not self._answered:
            self._wake()

    def _pause_reading(self, connection: Connection) -> None:
        # Until the reader comes back, the server's silence is our doing: only the total time runs.
        self._reading_paused = True
        connection.transport.pause_reading()
        connection.expect_within(inf, self._total_at)

    def ended(self) -> None:
        connection = self._connection
        if connection is None:
            return
        message = self._message
        if not message.started:
            self._fail(Unanswered(self._phase, "the connection was closed without a response"))
            return
        message.end()
        if message.fault is None:
            self._complete(connection)
        else:
            self._fail(UpstreamFailure(self._phase, message.fault))

    def lost(self, cause: str) -> None:
        kind = UpstreamFailure if self._message.started else Unanswered
        self._fail(kind(self._phase, cause))

    def writable(self) -> None:
        self._wake()

    def expire(self) -> None:
        connection = self._connection
        if connection is None:
            return
        patience = self._patience
        phase = self._phase
        if connection.deadline >= self._total_at:
            cause = f"not done after {patience.total:g} s"
        elif phase == "first_byte":
            cause = f"no response within {patience.first_byte:g} s"
        else:
            cause = f"no progress for {patience.idle:g} s"
        self._fail(UpstreamFailure(phase, cause, timeout=True))
