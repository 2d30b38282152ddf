"""Citations to annotations of OpenAI's shape."""

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder, encode


class _Location(Struct, frozen=True):
    """Any kind of citation: only those of the web have a `url`; a search result that the caller sent has a
    `source`, which may be one."""

    url: str | None = None
    source: str | None = None
    title: str | None = None


class _UrlCitation(Struct, frozen=True):
    start_index: int
    end_index: int
    title: str
    url: str


class _Annotation(Struct, frozen=True, tag_field="type", tag="url_citation"):
    url_citation: _UrlCitation


_decode = Decoder(_Location).decode


def annotation(citation: Raw, start: int, end: int) -> Raw | None:
    """The citation of a page that supports the text from `start` to `end` (in code points of its part).

    None for what OpenAI's language has no annotation for: the place in a document of the caller's own, which
    the API tells only where it was asked to.
    """
    try:
        location = _decode(citation)
    except DecodeError:
        return None
    url = location.url or location.source
    if url is None or not url.startswith(("https://", "http://")):
        return None
    return Raw(encode(_Annotation(_UrlCitation(start, end, location.title or "", url))))
