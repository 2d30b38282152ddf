"""Fetches an image from wherever a caller says, and from nowhere inside.

A name is resolved once; all its addresses must be public, and the connection is made to the very address that
was judged. So is every redirect. No proxy, no credentials, no cookies; time and size have an end.
"""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urljoin

from msgspec import Struct

from quantized.core.errors import ImageNotFetched
from quantized.providers.provider import UpstreamCall
from quantized.upstream.call import Patience, UpstreamFailure
from quantized.upstream.connection import Connection, in_words
from quantized.upstream.deadlines import Sweeper
from quantized.upstream.exchange import Exchange
from quantized.upstream.message import Message
from quantized.upstream.public_address import IPAddress, is_public
from quantized.upstream.request import Location, Origin, framed, locate, request_head
from quantized.upstream.resolver import Resolver
from quantized.upstream.tls import default_context

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_HEADER_BYTES = 32 * 1024
_BUFFER_BYTES = 256 * 1024
_URL_CHARACTERS = 8192
_ADDRESSES_TRIED = 4

# The type that a server may say -> how the type is called, and how the bytes of it begin.
_TYPES = {
    "image/png": ("image/png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    "image/jpeg": ("image/jpeg", re.compile(rb"\xff\xd8\xff")),
    "image/jpg": ("image/jpeg", re.compile(rb"\xff\xd8\xff")),
    "image/gif": ("image/gif", re.compile(rb"GIF8[79]a")),
    "image/webp": ("image/webp", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
}
_HEADERS = (("accept", "image/png, image/jpeg, image/gif, image/webp"), ("user-agent", "quantized"))

# The last label of a name that resolvers take for a number, and the name with it for an address.
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The addresses of a host, as text, for a port. Raises OSError, UnicodeError; Unavailable when too busy."""


class FetchedImage(Struct, frozen=True):
    """`media_type` is what the bytes are, whatever their server called them."""

    media_type: str
    data: bytes


class FetchLimits(Struct, frozen=True):
    """`seconds` for all of it, `connect` (seconds) for one address, `redirects` followed."""

    bytes: int = 5 * 1024 * 1024
    seconds: float = 15.0
    connect: float = 4.0
    redirects: int = 3


class Unfetchable(Exception):
    """`why` is for the caller, and tells nothing of what lies inside; `cause` is for the log."""

    def __init__(self, why: str, cause: str | None = None) -> None:
        super().__init__(why)
        self.why = why
        self.cause = cause


class ImageFetcher:
    """Serves one event loop. Each fetch has a connection of its own."""

    def __init__(
        self,
        limits: FetchLimits | None = None,
        *,
        judge: Callable[[IPAddress], bool] = is_public,
        resolve: Resolve | None = None,
        ports: frozenset[int] = frozenset((80, 443)),
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """`judge`: whether an address may be connected to. `resolve`: None for the system's resolver.
        `ssl_context`: None for the system's trust."""
        self._limits = limits or FetchLimits()
        self._judge = judge
        self._resolve = resolve or Resolver()
        self._ports = ports
        self._ssl_context = ssl_context
        self._connections: set[Connection] = set()
        self._sweeper = Sweeper(self._connections)

    async def fetch(self, url: str, field: str) -> FetchedImage:
        """The image at `url`, which the caller gave in `field`. Raises ImageNotFetched, naming it, and
        Unavailable when too many names wait to be resolved."""
        limit = self._limits.seconds
        try:
            async with asyncio.timeout(limit):
                return await self._follow(url)
        except Unfetchable as error:
            why, cause = error.why, error.cause
        except TimeoutError:
            why, cause = f"the image was not there within {limit:g} seconds.", None
        raise ImageNotFetched(f"Invalid value for '{field}': {why}", param=field, cause=cause)

    async def _follow(self, url: str) -> FetchedImage:
        url = _without_fragment(url)
        for _ in range(self._limits.redirects + 1):
            place = self._place(url)
            answer = await self._visit(url, place)
            if isinstance(answer, FetchedImage):
                return answer
            url = _joined(url, answer)
            if place.origin.scheme == "https" and not url.startswith("https:"):
                raise Unfetchable("it redirects from https to something else.")
        raise Unfetchable(f"it redirects more than {self._limits.redirects} times.")

    def _place(self, url: str) -> Location:
        if len(url) > _URL_CHARACTERS:
            raise Unfetchable(f"the URL is longer than {_URL_CHARACTERS} characters.")
        try:
            place = locate(url)
        except ValueError as error:
            raise Unfetchable(f"{error}.") from error
        if place.origin.port not in self._ports:
            raise Unfetchable("no image is fetched from the URL's port.")
        return place

    async def _visit(self, url: str, place: Location) -> FetchedImage | str:
        """The image, or where it is said to be."""
        connection = await self._connect(place.origin, await self._addresses(place.origin))
        try:
            return await self._ask(connection, UpstreamCall(url, _HEADERS, b"", "GET"))
        except UpstreamFailure as failure:
            if failure.timeout:
                raise TimeoutError from failure
            raise Unfetchable("its server sent no proper answer.", str(failure)) from failure
        finally:
            connection.abort()

    async def _addresses(self, origin: Origin) -> Sequence[IPAddress]:
        """Judged, all of them: which one is connected to is nobody's choice but the network's."""
        unknown = "its host has no public address."
        addresses: Sequence[IPAddress]
        try:
            literal = _literal(origin.host)
            texts = () if literal else await self._resolve(origin.host, origin.port)
            # A name may come with the same address several times.
            addresses = [literal] if literal else [*dict.fromkeys(map(ip_address, texts))]
        except (OSError, UnicodeError) as error:
            raise Unfetchable(unknown, in_words(error)) from error
        refused = [address for address in addresses if not self._judge(address)]
        if refused or not addresses:
            raise Unfetchable(unknown, f"{origin.host} is at {', '.join(map(str, refused)) or 'none'}")
        return addresses[:_ADDRESSES_TRIED]

    async def _connect(self, origin: Origin, addresses: Sequence[IPAddress]) -> Connection:
        context = None
        if origin.scheme == "https":
            context = self._ssl_context or await asyncio.to_thread(default_context)
        causes = []
        for address in addresses:
            try:
                async with asyncio.timeout(self._limits.connect):
                    return await self._open(origin, address, context)
            except OSError as error:
                causes.append(f"{address}: {in_words(error)}")
        raise Unfetchable("its server could not be reached.", "; ".join(causes))

    async def _open(self, origin: Origin, address: IPAddress, context: ssl.SSLContext | None) -> Connection:
        connection = Connection(origin, self, self._sweeper)
        await asyncio.get_running_loop().create_connection(
            lambda: connection,
            str(address),
            origin.port,
            ssl=context,
            server_hostname=origin.host.removesuffix(".") if context else None,
            ssl_handshake_timeout=self._limits.connect + 1 if context else None,
        )
        if connection.is_lost:
            raise ConnectionError("the connection was closed as soon as it was made")
        self._connections.add(connection)
        return connection

    async def _ask(self, connection: Connection, call: UpstreamCall) -> FetchedImage | str:
        seconds = self._limits.seconds
        exchange = Exchange(
            Message(_HEADER_BYTES),
            Patience(seconds, seconds, seconds, seconds),
            total_at=asyncio.get_running_loop().time() + seconds,
            buffer_bytes=_BUFFER_BYTES,
        )
        await exchange.send(connection, framed(request_head(call), call.method, call.body), call.body)
        if exchange.status in _REDIRECTS and "location" in exchange.headers:
            return exchange.headers["location"]
        if exchange.status != 200:
            raise Unfetchable(f"its server answered with the status {exchange.status}.")
        said = exchange.headers.get("content-type", "").partition(";")[0].strip().lower()
        if said not in _TYPES:
            raise Unfetchable("what is there is no PNG, JPEG, GIF or WebP image.", f"content-type: {said}")
        return _image(await self._body(exchange))

    async def _body(self, exchange: Exchange) -> bytes:
        limit = self._limits.bytes
        length = exchange.headers.get("content-length", "0")
        size = int(length) if length.isdecimal() else 0
        pieces = []
        if size <= limit:
            size = 0
            while size <= limit and (piece := await exchange.next()):
                pieces.append(piece)
                size += len(piece)
        if size > limit:
            raise Unfetchable(f"the image is larger than {limit} bytes.")
        return b"".join(pieces)

    # Called by the connections.

    def lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._sweeper.stop()

    def free(self, connection: Connection) -> None:
        connection.abort()


def _without_fragment(url: str) -> str:
    """The fragment is for whoever shows the image."""
    return url.partition("#")[0]


def _joined(url: str, location: str) -> str:
    try:
        return _without_fragment(urljoin(url, location))
    except ValueError as error:
        raise Unfetchable("it redirects to what is no URL.", str(error)) from error


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    """The address that `host` is, if it is one; forms that resolvers understand each in its own way are not
    taken for one, nor for a name."""
    if ":" in host:
        return IPv6Address(host)
    bare = host.removesuffix(".")
    if not _NUMERIC.fullmatch(bare.rpartition(".")[2]):
        return None
    try:
        return IPv4Address(bare)
    except ValueError as error:
        raise Unfetchable("an IPv4 address in a URL is four decimal numbers without zeros before.") from error


def _image(data: bytes) -> FetchedImage:
    for media_type, beginning in _TYPES.values():
        if beginning.match(data):
            return FetchedImage(media_type, data)
    raise Unfetchable("what is there is no PNG, JPEG, GIF or WebP image.", "the bytes begin as none does")
