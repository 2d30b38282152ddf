"""`data:` URLs, and what their bytes are."""

import base64
import binascii
from urllib.parse import unquote_to_bytes

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)
_HEAD = 16
"""Base64 characters that hold the bytes which tell the kinds of images apart."""


def is_data_url(url: str) -> bool:
    return url[:5].lower() == "data:"


def split_data_url(url: str) -> tuple[str, str]:
    """(media type in lower case, base64)."""
    head, _, data = url.partition(",")
    return head[len("data:") :].partition(";")[0].strip().lower(), data


def in_base64(url: str) -> str:
    """A `data:` URL in base64, as all who read one here expect it."""
    kind, data = split_data_url(url)
    if url.partition(",")[0].lower().endswith(";base64"):
        return url
    return f"data:{kind or 'text/plain'};base64,{base64.b64encode(unquote_to_bytes(data)).decode()}"


def image_kind(data: str) -> str | None:
    """The media type of an image by its first bytes, of base64; None for no kind that is known here."""
    try:
        head = base64.b64decode(data[:_HEAD])
    except (binascii.Error, ValueError):
        return None
    if head.startswith(b"RIFF") and head[8:].startswith(b"WEBP"[: len(head) - 8]):
        return "image/webp"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
