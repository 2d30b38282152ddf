"""Citations to annotations of OpenAI's shape."""

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder

from quantized.providers.citations import url_citation


class _Location(Struct, frozen=True):
    """Any kind of citation: only those of the web have a `url`; a search result that the caller sent has a
    `source`, which may be one."""

    url: str | None = None
    source: str | None = None
    title: str | None = None


_decode = Decoder(_Location).decode


def annotation(citation: Raw, start: int, end: int) -> Raw | None:
    """The citation of a page that supports the text from `start` to `end` (in code points of its part);
    None where it is of something else."""
    try:
        location = _decode(citation)
    except DecodeError:
        return None
    return url_citation(location.url or location.source, location.title, start, end)
