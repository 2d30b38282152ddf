"""The server's side of HTTP/1.1: one connection of a client, from its bytes to one exchange after the other.

Every head that is whole becomes an exchange. POST to a hot path is answered directly (`direct.py`); all else
is handed to an ASGI application (`asgi.py`), whose messages between two tasks cost more than a whole answer
does here.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from math import inf
from typing import Any, Protocol, cast

import httptools
from msgspec import Struct

from quantized.http.asgi import AsgiApp, AsgiExchange, decoded_path, split_target
from quantized.http.direct import DirectExchange
from quantized.http.exchange import Exchange
from quantized.http.head import Refused, RequestHead, check_size, offers_only_h2c, read_head
from quantized.http.messages import Headers
from quantized.http.refusals import MALFORMED, TOO_LARGE, Refusal


class Bounds(Struct, frozen=True):
    """What a client may take of us that has shown no credential yet. `head` bytes of a request's head, and of
    what comes with a body without adding to it. Seconds: `patience` for a head to be whole, for the rest of a
    body that nobody wants, and for a client to take at least one byte of an answer that is ready;
    `keep_alive` for the next request to begin; `parting` for one that was on its way when we stop."""

    head: int = 64 * 1024
    patience: float = 30.0
    keep_alive: float = 5.0
    parting: float = 0.2


_BOUNDS = Bounds()


Direct = Callable[[DirectExchange], Coroutine[Any, Any, None]]


class Application(Protocol):
    """What is served. `direct`: who answers POST to a path without ASGI in between."""

    @property
    def direct(self) -> Mapping[str, Direct]: ...

    @property
    def asgi(self) -> AsgiApp: ...

    @property
    def refused(self) -> Callable[[Refusal], Headers]:
        """Is told of what nobody else sees, since it is refused here, and tells the answer's headers."""


class ServerState(Protocol):
    """What the server wants to know of its connections, and tells them: uvicorn's."""

    connections: set[Any]
    tasks: set[asyncio.Task[None]]
    default_headers: Headers


class ClientConnection(asyncio.Protocol):
    """Requests are answered in the order in which they came, one at a time. While one waits for its turn
    nothing more is read."""

    transport: asyncio.Transport

    def __init__(self, application: Application, state: ServerState, bounds: Bounds = _BOUNDS) -> None:
        self._application = application
        self._state = state
        self._bounds = bounds
        self._loop = asyncio.get_running_loop()
        # It holds methods of this object, so it is let go of when the connection is lost.
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: Headers = []
        self._in_head = False
        self._declined = False
        """The request whose head is whole offers an upgrade that is not taken up."""
        self._overhead = 0
        """Bytes of a head that is not whole yet, or that came with a body without adding to it."""
        self._piece = 0
        """Bytes of what is being parsed."""
        self._gained = False
        """It has added to a body, or ended a head or a message."""
        self._arriving: Exchange | None = None
        """The exchange whose request is not whole yet."""
        self._current: Exchange | None = None
        """The one that is being answered."""
        self._waiting: deque[Exchange] = deque()
        self._last = False
        """Nothing more is read: the client said so, or what it sent can be followed by nothing."""
        self._parting: Refusal | None = None
        """It is written when all that was asked before is answered."""
        self._stopping = False
        self._reading_paused = False
        self.writing_paused = False
        self._deadline = inf
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at = inf
        self._unsent = 0

    # Called by the server.

    def shutdown(self) -> None:
        """One request more, if it was on its way already; those that have come are answered, and the last of
        them says that it is the last. Said again: only those that have begun."""
        if self._stopping:
            self._waiting.clear()
            if self._current is None:
                self.close()
            return
        self._stopping = True
        if self._current is None:
            self._expect_within(self._bounds.parting)

    # Called by the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._state.connections.add(self)
        self._expect_within(self._bounds.patience)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (gone is gone)
        self._state.connections.discard(self)
        del self._parser
        self._last = True
        if self._alarm is not None:
            self._alarm.cancel()
        self._waiting.clear()
        if self._current is not None:
            self._current.forsaken()

    def data_received(self, data: bytes) -> None:
        if self._last:
            return
        self._gained = False
        self._piece = len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            end = upgrade.args[0]
        except httptools.HttpParserError as error:
            self._break(error)
            return
        else:
            if not self._gained:
                self._bear(len(data))
            return
        self._not_upgraded(data, end)

    def pause_writing(self) -> None:
        self.writing_paused = True

    def resume_writing(self) -> None:
        self.writing_paused = False
        if self._current is not None:
            self._current.writable()

    # Called by the parser. An exception raised here stops it.

    def on_message_begin(self) -> None:
        if self._last:
            raise Refused(MALFORMED)
        self._in_head = True
        self._target = b""
        self._headers = []

    def on_url(self, piece: bytes) -> None:
        self._target += piece

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # Else it is a trailer, and nobody has asked for any.
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        upgrades = self._parser.should_upgrade()
        if upgrades and self._parser.get_method() != b"CONNECT" and offers_only_h2c(self._headers):
            self._declined = True
            return
        if self._overhead + self._piece > self._bounds.head:
            check_size(self._target, self._headers, self._bounds.head)
        head = read_head(self._parser, self._target, self._headers, upgrades=upgrades)
        self._in_head = False
        self._gained = True
        self._overhead = 0
        exchange = self._arriving = self._exchange(head)
        if self._current is None:
            self._begin(exchange)
        else:
            self._waiting.append(exchange)
            self.pause_reading()

    def on_body(self, piece: bytes) -> None:
        self._gained = True
        self._overhead = 0
        if self._arriving is not None:
            self._arriving.received(piece)

    def on_message_complete(self) -> None:
        self._gained = True
        exchange, self._arriving = self._arriving, None
        if exchange is None:
            return
        exchange.ended()
        if not exchange.head.keep_alive:
            self._last = True
        if exchange.complete:
            # It was answered before it was whole.
            self._expect_within(self._bounds.keep_alive)

    def _not_upgraded(self, data: bytes, end: int) -> None:
        """In `data` a head ends that asks for another protocol, and the parser stopped behind it.

        An offer of HTTP/2, as clients make it that would take either, may be ignored, and what follows is
        HTTP/1.1: a new parser reads the same head without it. Of any other protocol nobody knows what
        follows: the request is answered as it stands, and is the last.
        """
        while self._declined:
            self._declined = False
            head, data = self._without_upgrade(), data[end:]
            self._parser = httptools.HttpRequestParser(self)
            self._parse(head)
            following = self._parse(data) if data and not self._last else None
            if following is None:
                return
            end = following
        self._last = True

    def _parse(self, data: bytes) -> int | None:
        """Where in `data` a head ends that asks for another protocol; None where none does."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return int(upgrade.args[0])
        except httptools.HttpParserError as error:
            self._break(error)
        return None

    def _break(self, error: httptools.HttpParserError) -> None:
        if isinstance(error, httptools.HttpParserCallbackError):
            if not isinstance(error.__context__, Refused):
                raise error
            self._refuse(error.__context__.refusal)
        else:
            self._refuse(MALFORMED)

    def _without_upgrade(self) -> bytes:
        """The head that was parsed, written again: each of its lines has been found proper."""
        parser = self._parser
        lines = [b"%b %b HTTP/%b" % (parser.get_method(), self._target, parser.get_http_version().encode())]
        lines += [b"%b: %b" % header for header in self._headers if header[0] != b"upgrade"]
        return b"\r\n".join((*lines, b"", b""))

    def _exchange(self, head: RequestHead) -> Exchange:
        try:
            path, query = split_target(head.target)
        except httptools.HttpParserInvalidURLError:
            raise Refused(MALFORMED) from None
        if head.method == b"POST":
            text = decoded_path(path)
            answer = self._application.direct.get(text)
            if answer is not None:
                return DirectExchange(self, head, text, answer)
        return AsgiExchange(self, head, path, query, self._application.asgi)

    def _bear(self, size: int) -> None:
        """A piece has arrived that brought neither body nor the end of anything."""
        if self._in_head and not self._overhead:
            self._expect_within(self._bounds.patience)
        self._overhead += size
        if self._overhead > self._bounds.head:
            self._refuse(MALFORMED if self._arriving is not None else TOO_LARGE)

    def _refuse(self, refusal: Refusal) -> None:
        """What came is no request that is served, and nothing can be made of what follows it."""
        if self._last:
            return  # It was the last request all the same, and this is nobody's.
        self._last = True
        broken, self._arriving = self._arriving, None
        if broken is not None and broken in self._waiting:
            self._waiting.remove(broken)
        elif broken is not None:
            # Whoever answers it cannot have the rest of it. A response that has begun stays without its end.
            begun = broken.begun
            broken.forsaken()
            self._current = None
            if begun:
                self.close()
                return
        self._parting = refusal
        if self._current is None:
            self._part(refusal)

    def _part(self, refusal: Refusal) -> None:
        self.transport.write(refusal.response(self._application.refused(refusal)))
        self.close()

    # Called by the exchanges.

    @property
    def default_headers(self) -> Headers:
        return self._state.default_headers

    @property
    def ends(self) -> bool:
        return self._stopping and not self._waiting

    def run(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._loop.create_task(work)
        self._state.tasks.add(task)
        task.add_done_callback(self._state.tasks.discard)
        return task

    def pause_reading(self) -> None:
        if not self._reading_paused and not self.transport.is_closing():
            self._reading_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        if self._reading_paused and not self._waiting and not self.transport.is_closing():
            self._reading_paused = False
            self.transport.resume_reading()

    def close(self) -> None:
        self._last = True
        self.transport.close()
        # It waits for the client to take what was written, and for that long only as it does.
        self._expect_within(self._bounds.patience)

    def over(self, exchange: Exchange) -> None:
        self._current = None
        if not exchange.keeps_alive:
            self.close()
        elif self._waiting:
            self._begin(self._waiting.popleft())
        elif self._parting is not None:
            self._part(self._parting)
        elif self._stopping:
            self.close()
        else:
            # What is not whole yet is read and dropped, to get at the next request.
            self._expect_within(self._bounds.keep_alive if exchange.whole else self._bounds.patience)
        self.resume_reading()

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        self._deadline = inf
        exchange.start()

    # The deadline. A timer is set once for many requests: it rings, and looks where the deadline is by then.

    def _expect_within(self, seconds: float) -> None:
        self._deadline = deadline = self._loop.time() + seconds
        if deadline < self._alarm_at:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm = self._loop.call_at(deadline, self._ring)
            self._alarm_at = deadline

    def _ring(self) -> None:
        self._alarm, self._alarm_at = None, inf
        remaining = self._deadline - self._loop.time()
        if remaining == inf:
            return
        unsent = self.transport.get_write_buffer_size()
        if remaining > 0.001:
            self._expect_within(remaining)
        elif not unsent:
            self.transport.close()
        elif unsent == self._unsent:
            self.transport.abort()
        else:
            self._unsent = unsent
            self._expect_within(self._bounds.patience)
