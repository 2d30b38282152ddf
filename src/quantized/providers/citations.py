"""Citations of pages, in OpenAI's shape."""

from msgspec import Raw, Struct
from msgspec.json import encode


class _UrlCitation(Struct, frozen=True):
    start_index: int
    end_index: int
    title: str
    url: str


class _Annotation(Struct, frozen=True, tag_field="type", tag="url_citation"):
    url_citation: _UrlCitation


def url_citation(url: str | None, title: str | None, start: int, end: int) -> Raw | None:
    """The citation of a page that supports the text from `start` to `end` (in code points of its part).

    None where `url` is no page's: OpenAI's language has no annotation for a place in a document of the
    caller's own, which servers tell only where they were asked to.
    """
    if url is None or not url.startswith(("https://", "http://")):
        return None
    return Raw(encode(_Annotation(_UrlCitation(start, end, title or "", url))))
