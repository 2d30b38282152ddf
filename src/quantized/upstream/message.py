"""The bytes of one response to its head and the pieces of its body. Pure: no socket, no clock.

The framing is read strictly, because a message whose end is a matter of opinion can neither be trusted nor
be followed by another on the same connection.
"""

import httptools

_INTERIM_MAX = 16
_BODYLESS = frozenset((204, 304))


class Message:
    """A response while it arrives.

    `fault` is set once the bytes are no response that we could accept, and says why; the message is then
    dead. `complete` is set at the proper end. `chunks` holds the pieces of body nobody has taken yet.
    """

    __slots__ = (
        "_any_coding",
        "_barren",
        "_head_bytes",
        "_interim",
        "_interims",
        "_limit",
        "_parser",
        "_until_close",
        "chunks",
        "complete",
        "fault",
        "has_head",
        "headers",
        "keep_alive",
        "on_body",
        "started",
        "status",
    )

    def __init__(self, limit: int, *, any_coding: bool = False) -> None:
        """`limit` bounds the bytes of all heads together, and of what frames the body without adding to it.
        `any_coding`: a content coding is what the request asked for."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self.started = False
        self.has_head = False
        self.complete = False
        self.keep_alive = False
        self.fault: str | None = None
        self.chunks: list[bytes] = []
        # The parser's callback for a piece of body: the list itself, without a call of ours in between.
        self.on_body = self.chunks.append
        self._limit = limit
        self._any_coding = any_coding
        self._head_bytes = 0
        self._barren = 0
        self._interim = False
        self._interims = 0
        self._until_close = False
        # There as long as the message is neither complete nor at fault. It holds methods of this object, so
        # it must be let go of, or each message would wait for the garbage collector.
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Must not be called again once the message is complete or has a fault."""
        had_head = self.has_head
        pieces = len(self.chunks)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.fault = "the server switched protocols"
        except httptools.HttpParserError as error:
            if self.complete:
                self.keep_alive = False  # the response is whole, what follows it is nobody's
            elif self.fault is None:
                self.fault = f"not a proper HTTP response: {error}"
        if had_head and len(self.chunks) > pieces:
            self._barren = 0
            if not self.complete and self.fault is None:
                return
        elif had_head:
            self._barren += len(data)
            if self._barren > self._limit:
                self._check_barren()
        else:
            self.started = True
            self._head_bytes += len(data)
            if self._head_bytes > self._limit:
                self._check_head()
        if self.complete or self.fault is not None:
            del self._parser

    @property
    def over(self) -> bool:
        return self.complete or self.fault is not None

    def end(self) -> None:
        """The server has closed its side. Completes a message that ends so, gives any other a fault."""
        if self.has_head and self._until_close:
            self.complete = True
            del self._parser
        elif self.has_head:
            self.cut("the connection was closed before the end of the body")
        else:
            self.cut("the connection was closed before the end of the response's head")

    def cut(self, fault: str) -> None:
        """Nothing more will come, for a reason that is not in the bytes."""
        self.fault = fault
        del self._parser

    def take(self) -> bytes:
        """The pieces of body that have arrived, joined; b"" where there is none."""
        chunks = self.chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        return data

    def _check_head(self) -> None:
        # What came last may have been body for the most part: then the fields themselves tell.
        fields = sum(len(name) + len(value) + 4 for name, value in self.headers.items())
        if self.fault is None and (fields > self._limit or not self.has_head):
            self.fault = f"the response's head is longer than {self._limit} bytes"

    def _check_barren(self) -> None:
        if self.fault is None and not self.complete:
            self.fault = f"chunk extensions or trailers of more than {self._limit} bytes"

    # Called by the parser. An exception raised here stops it.

    def on_message_begin(self) -> None:
        if self.complete:
            raise ValueError("bytes after the end of the response")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.has_head:
            return  # a trailer
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        before = self.headers.get(key)
        self.headers[key] = text if before is None else f"{before}, {text}"

    def on_headers_complete(self) -> None:
        self.status = status = self._parser.get_status_code()
        headers = self.headers
        length = headers.get("content-length")
        coding = headers.get("transfer-encoding")
        if status < 200:
            self._begin_interim(framed=length is not None or coding is not None)
            return
        if coding is not None:
            self._check_transfer_coding(coding)
        elif length is None:
            self._until_close = status not in _BODYLESS
        if not self._any_coding:
            content_coding = headers.get("content-encoding", "identity")
            if content_coding.strip().lower() not in ("identity", ""):
                self._refuse(f"a compressed response ({content_coding[:32]}), though none was asked for")
        self.has_head = True

    def on_message_complete(self) -> None:
        if self._interim:
            self._interim = False
            self.headers = {}
            return
        # A bodyless response that announces a body may be followed by it: never reuse after one.
        contradiction = self.status in _BODYLESS and (
            "transfer-encoding" in self.headers or self.headers.get("content-length", "0") != "0"
        )
        self.keep_alive = self._parser.should_keep_alive() and not contradiction
        self.complete = True

    def _begin_interim(self, *, framed: bool) -> None:
        self._interims += 1
        if self.status < 100:
            self._refuse("the status is no HTTP status")
        if self.status == 101:
            self._refuse("the server switched protocols")
        if framed:
            self._refuse("an interim response that announces a body")
        if self._interims > _INTERIM_MAX:
            self._refuse(f"more than {_INTERIM_MAX} interim responses")
        self._interim = True

    def _check_transfer_coding(self, coding: str) -> None:
        if coding.strip().lower() != "chunked":
            self._refuse(f"the transfer coding {coding[:32]}, where only chunked is understood")
        if self._parser.get_http_version() != "1.1":
            self._refuse("a transfer coding in a response that is not HTTP/1.1")

    def _refuse(self, fault: str) -> None:
        self.fault = fault
        raise ValueError(fault)
