"""The parts of a message to content blocks."""

import base64
import binascii
from typing import Any

from msgspec import Struct

from quantized.core.parts import Audio, CacheMark, File, Image, Text
from quantized.providers.anthropic.refusal import unsupported

Said = Text | Image | Audio | File


class Block(Struct):
    """A content block (or a tool) as it is sent, and the caller's field that it comes from."""

    body: dict[str, Any]
    path: str


_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
)
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_TEXTS = frozenset({"application/json", "application/xml", "application/x-yaml", "application/yaml"})
_HEAD = 16
"""Base64 characters that hold the bytes which tell the kinds of images apart."""


def mark(block: Block, wish: CacheMark | None) -> None:
    if wish is not None:
        ttl = {} if wish.ttl is None else {"ttl": wish.ttl}
        block.body["cache_control"] = {"type": "ephemeral", **ttl}


def block_of(part: Said, path: str) -> Block | None:
    """None for a text that is nothing but white space, which the API refuses and no model would miss. `path`
    is the part's. Raises UnsupportedParameter."""
    if isinstance(part, Text) and not part.text.strip():
        return None
    block = Block(_body(part, path), path)
    mark(block, part.cache)
    return block


def _body(part: Said, path: str) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Image(url, detail):
            return _image(url, detail, path)
        case File():
            return _file(part, f"{path}.file")
        case Audio():
            raise unsupported(
                f"{path}.input_audio", "its models hear nothing; send a transcript, or use another provider"
            )


def _image(url: str, detail: str | None, path: str) -> dict[str, Any]:
    if detail == "low":
        raise unsupported(f"{path}.image_url.detail", "images are read in full; leave 'detail' out")
    if url[:5].lower() != "data:":
        return {"type": "image", "source": {"type": "url", "url": _https(url, f"{path}.image_url.url")}}
    return _picture(*_data(url), f"{path}.image_url.url")


def _picture(kind: str, data: str, path: str) -> dict[str, Any]:
    """What the bytes say wins over what the URL says: the API compares the two."""
    kind = _sniffed(data) or kind.replace("image/jpg", "image/jpeg")
    if kind not in _IMAGES:
        raise unsupported(path, f"'{kind[:64]}' is no kind of image that it takes; {_named(_IMAGES)} are")
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}


def _sniffed(data: str) -> str | None:
    try:
        head = base64.b64decode(data[:_HEAD])
    except (binascii.Error, ValueError):
        return None
    if head.startswith(b"RIFF") and head[8:].startswith(b"WEBP"[: len(head) - 8]):
        return "image/webp"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)


def _file(part: File, path: str) -> dict[str, Any]:
    if part.data is None:
        raise unsupported(f"{path}.file_id", "files are not stored there; send the file as 'file_data'")
    where = f"{path}.file_data"
    title = {} if part.filename is None else {"title": part.filename}
    if part.data[:5].lower() != "data:":
        return {
            "type": "document",
            "source": {"type": "url", "url": _https(part.data, where)},
            **title,
        }
    kind, data = _data(part.data)
    source: dict[str, Any]
    if kind == "application/pdf":
        source = {"type": "base64", "media_type": kind, "data": data}
    elif kind.startswith("image/"):
        return _picture(kind, data, where)
    elif kind.startswith("text/") or kind in _TEXTS:
        source = {"type": "text", "media_type": "text/plain", "data": _text(data, where)}
    else:
        raise unsupported(
            where, f"it takes PDF, text and images, not '{kind[:64]}'; send what the file says as text"
        )
    return {"type": "document", "source": source, **title}


def _text(data: str, path: str) -> str:
    try:
        text = base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise unsupported(path, "a text file must be UTF-8, in base64") from error
    if not text.strip():
        raise unsupported(path, "the file is empty; leave it out")
    return text


def _data(url: str) -> tuple[str, str]:
    """(media type, base64) of a `data:` URL."""
    head, _, data = url.partition(",")
    return head[len("data:") :].partition(";")[0].strip().lower(), data


def _https(url: str, path: str) -> str:
    if url[:8].lower() != "https://":
        raise unsupported(path, "it fetches https: URLs alone; use one, or a data: URL")
    return url


def _named(names: frozenset[str]) -> str:
    *most, last = sorted(names)
    return f"{', '.join(most)} and {last}"
