"""The head of a request: what it says, and whether that can be taken at its word. Pure: no socket, no clock.

Read strictly, because where a request ends, and whom it is for, must not be a matter of opinion: what two
servers in a row take for different things is how one client's request becomes part of another's.
"""

from collections.abc import Mapping
from typing import NamedTuple

import httptools

from quantized.http.messages import Headers
from quantized.http.refusals import MALFORMED, TOO_LARGE, UPGRADE, Refusal

_VERSIONS = frozenset(("1.0", "1.1"))


class RequestHead(NamedTuple):
    """`target` as it stands in the request line; header names in lower case. `keep_alive`: the client says
    that the connection may be used again, and is one whose word on it we take."""

    method: bytes
    target: bytes
    headers: Headers
    fields: Mapping[bytes, bytes]
    """The headers by name; the first one where it is repeated."""
    modern: bool
    """HTTP/1.1, not 1.0: the client knows chunks."""
    keep_alive: bool


class Refused(Exception):
    """Stops the parser: what comes is no request that is served."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal


def read_head(
    parser: httptools.HttpRequestParser, target: bytes, headers: Headers, *, upgrades: bool
) -> RequestHead:
    """What `parser` has read to its end, and told of as `target` and `headers`. `upgrades`: another protocol
    is asked for. Raises Refused."""
    version = parser.get_http_version()
    if version not in _VERSIONS:
        raise Refused(MALFORMED)
    modern = version == "1.1"
    fields = dict(reversed(headers))
    if (modern and b"host" not in fields) or _is_repeated(b"host", headers, fields):
        raise Refused(MALFORMED)
    if b"transfer-encoding" in fields and not (modern and _is_chunked(headers)):
        raise Refused(MALFORMED)
    if upgrades and (b"transfer-encoding" in fields or _announces_body(headers)):
        # The parser takes what follows for the other protocol.
        raise Refused(UPGRADE)
    keep_alive = modern and not upgrades and parser.should_keep_alive()
    return RequestHead(parser.get_method(), target, headers, fields, modern, keep_alive)


def check_size(target: bytes, headers: Headers, limit: int) -> None:
    """Raises Refused for a head of more than `limit` bytes."""
    if len(target) + sum(len(name) + len(value) + 4 for name, value in headers) > limit:
        raise Refused(TOO_LARGE)


def _is_repeated(name: bytes, headers: Headers, fields: Mapping[bytes, bytes]) -> bool:
    return len(fields) < len(headers) and sum(key == name for key, _ in headers) > 1


def offers_only_h2c(headers: Headers) -> bool:
    """Every protocol that `Upgrade` names is HTTP/2 in the clear, which may be ignored."""
    offers = [value for name, value in headers if name == b"upgrade"]
    return all(offer.strip().lower() == b"h2c" for value in offers for offer in value.split(b","))


def _announces_body(headers: Headers) -> bool:
    return any(name == b"content-length" and value.strip(b"0") for name, value in headers)


def _is_chunked(headers: Headers) -> bool:
    """One transfer coding, and the only one that is understood."""
    codings = [value for name, value in headers if name == b"transfer-encoding"]
    return len(codings) == 1 and codings[0].lower() == b"chunked"
