"""Where a page ended, as a text that only its own list reads."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TypeVar
from unicodedata import category

import msgspec

from quantized.administration.faults import Unfit

P = TypeVar("P")


def write(of: str, position: object) -> str:
    return urlsafe_b64encode(msgspec.json.encode([of, position])).decode().rstrip("=")


def read(cursor: str | None, of: str, into: type[P]) -> P | None:
    """None where there is none. Raises Unfit for one that another list wrote, or nobody."""
    if cursor is None:
        return None
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        written, position = msgspec.json.decode(text, type=tuple[str, into])  # type: ignore[valid-type]
    except (ValueError, binascii.Error, msgspec.DecodeError) as error:
        raise Unfit("cursor", "take it from a page as it is, in next_cursor") from error
    if written != of:
        raise Unfit("cursor", "it is another list's")
    found: P = position
    _within_database(found)
    return found


def _within_database(position: object) -> None:
    """Raises Unfit for what no row of ours could be at, and a database would not take."""
    for part in position if isinstance(position, tuple) else (position,):
        too_large = isinstance(part, int) and not 0 <= part < 2**63
        controls = isinstance(part, str) and any(category(character) == "Cc" for character in part)
        if too_large or controls:
            raise Unfit("cursor", "take it from a page as it is, in next_cursor")
