"""From an `UpstreamCall` to the bytes of a request. Pure; refuses whatever could not be sent as it stands."""

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from quantized.providers.provider import UpstreamCall

_DEFAULT_PORTS = {"http": 80, "https": 443}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_URL = re.compile(r"[\x21-\x7e]+")
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")

# What frames a message or belongs to one connection is the client's to say, never the caller's.
_OURS = frozenset(
    (
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)

# A response to HEAD has the head of one with a body, and CONNECT has no path: neither is a provider's call.
_METHODS_REFUSED = frozenset(("HEAD", "CONNECT"))
_METHODS_WITHOUT_BODY = frozenset(("GET", "DELETE", "OPTIONS"))


class Origin(NamedTuple):
    """Where a connection leads. `host` is lower-case, an IPv6 address without its brackets."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """`host:port`, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def host_field(self) -> str:
        """The value of the `host` header: the port only where it is not the scheme's own."""
        if self.port == _DEFAULT_PORTS[self.scheme]:
            return f"[{self.host}]" if ":" in self.host else self.host
        return self.authority


_NO_HOST = "the URL's host is neither an IP address nor a DNS name"


class Location(NamedTuple):
    """A URL taken apart. `target` is the path with the query, as it stands in the URL."""

    origin: Origin
    target: str


class RequestHead(NamedTuple):
    """All of a request that does not depend on its body.

    `start` ends before `content-length`. `any_coding`: the call chose the content codings it accepts.
    """

    start: bytes
    any_coding: bool


@lru_cache(maxsize=256)
def locate(url: str) -> Location:
    """Raises ValueError for anything but an absolute http or https URL, percent-encoded, of sane parts."""
    if not _URL.fullmatch(url):
        raise ValueError("the URL has a character that must be percent-encoded")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(_NO_HOST) from None
    if parts.scheme not in _DEFAULT_PORTS:
        raise ValueError("the URL must begin with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the URL carries a user name or password")
    if parts.fragment:
        raise ValueError("the URL carries a fragment")
    host = checked_host(parts.hostname or "")
    port = checked_port(parts, _DEFAULT_PORTS[parts.scheme])
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Location(Origin(parts.scheme, host, port), target)


def checked_host(host: str) -> str:
    """The host itself. Raises ValueError where it is neither an IP address nor a possible DNS name."""
    if ":" in host:
        if "%" in host:
            raise ValueError("an IPv6 address in a URL must not name a zone")
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise ValueError(_NO_HOST) from None
    elif len(host) > 253 or not all(map(_LABEL.fullmatch, host.removesuffix(".").split("."))):
        raise ValueError(_NO_HOST)
    return host


def checked_port(parts: SplitResult, default: int) -> int:
    """Raises ValueError without telling what stands there: it may be a piece of a password."""
    try:
        return default if parts.port is None else parts.port
    except ValueError:
        raise ValueError("the URL's port is no port") from None


def request_head(
    call: UpstreamCall, extra: tuple[tuple[str, str], ...] = (), *, absolute: bool = False
) -> RequestHead:
    """The head of `call`, with the headers `extra` that are not the caller's to set.

    `absolute`: the target is the whole URL, as a proxy for plain http wants it. Raises ValueError, which
    never tells a header's value.
    """
    head = _head(call.method, call.url, call.headers, extra, absolute)
    if not call.once:
        return head
    _check(call.once)
    return RequestHead(head.start + _lines(call.once), head.any_coding)


# A gateway sends the same few heads again and again, but for what is in them once.
@lru_cache(maxsize=256)
def _head(
    method: str,
    url: str,
    headers: tuple[tuple[str, str], ...],
    extra: tuple[tuple[str, str], ...],
    absolute: bool,
) -> RequestHead:
    if not _TOKEN.fullmatch(method) or method in _METHODS_REFUSED:
        raise ValueError("the method cannot be sent")
    origin, target = locate(url)
    if absolute:
        target = f"http://{origin.host_field}{target}"
    _check(headers)
    any_coding = any(name.lower() == "accept-encoding" for name, _ in headers)
    fields = [("host", origin.host_field), *extra, *headers]
    if not any_coding:
        fields.append(("accept-encoding", "identity"))
    return RequestHead(f"{method} {target} HTTP/1.1\r\n".encode("latin-1") + _lines(fields), any_coding)


def _lines(fields: Iterable[tuple[str, str]]) -> bytes:
    return "".join([f"{name}: {value}\r\n" for name, value in fields]).encode("latin-1")


def _check(headers: tuple[tuple[str, str], ...]) -> None:
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise ValueError("a header's name has a character that may not be sent")
        if name.lower() in _OURS:
            raise ValueError(f"the header {name} is not the caller's to set")
        if not _FIELD_VALUE.fullmatch(value):
            raise ValueError(f"the value of the header {name} has a character that may not be sent")


def framed(head: RequestHead, method: str, body: bytes) -> bytes:
    """The bytes of the head, complete, for this body."""
    if not body and method in _METHODS_WITHOUT_BODY:
        return b"%b\r\n" % head.start
    return b"%bcontent-length: %d\r\n\r\n" % (head.start, len(body))
