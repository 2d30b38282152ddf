"""The parts of a message to content blocks."""

import base64
import binascii
import re
from typing import Any

from quantized.core.parts import Audio, File, Image, Seal, Text
from quantized.providers.anthropic.seals import is_ours, read
from quantized.providers.content import Block, Said
from quantized.providers.places import SealedBlock
from quantized.providers.refusal import unsupported
from quantized.wire.data_url import image_kind, is_data_url, split_data_url

_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_TEXTS = frozenset({"application/json", "application/xml", "application/x-yaml", "application/yaml"})
_CALL_IDS = re.compile(r"[a-zA-Z0-9_-]+")
_NAMES = re.compile(r"[a-zA-Z0-9_-]{1,128}")


def check_name(name: str, path: str) -> None:
    """Of a function. Raises Refused."""
    if not _NAMES.fullmatch(name):
        raise unsupported(path, "names are letters, digits, '_' and '-', at most 128 of them")


class MessagesWriter:
    """Writes the blocks of the Messages API (`turns.Writer`)."""

    call_ids = _CALL_IDS
    call_id_prefix = "toolu_"

    def content(self, part: Said, path: str) -> Block | None:
        return _block_of(part, path)

    def result(self, call_id: str, content: list[Block], path: str) -> Block:
        body: dict[str, Any] = {"type": "tool_result", "tool_use_id": call_id}
        match [block.body for block in content]:
            case []:
                pass
            case [{"type": "text", "text": str(text)}]:
                body["content"] = text
            case several:
                body["content"] = several
        return Block(body, path)

    def call(self, call_id: str, name: str, arguments: dict[str, Any], path: str) -> Block:
        check_name(name, f"{path}.function.name")
        return Block({"type": "tool_use", "id": call_id, "name": name, "input": arguments}, path)

    def read(self, seal: Seal) -> SealedBlock | None:
        return read(seal) if is_ours(seal) else None


def _block_of(part: Said, path: str) -> Block | None:
    if isinstance(part, Text) and not part.text.strip():
        return None
    return Block(_body(part, path), path, part.cache)


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
    if not is_data_url(url):
        return {"type": "image", "source": {"type": "url", "url": _https(url, f"{path}.image_url.url")}}
    return _picture(*split_data_url(url), f"{path}.image_url.url")


def _picture(kind: str, data: str, path: str) -> dict[str, Any]:
    """What the bytes say wins over what the URL says: the API compares the two."""
    kind = image_kind(data) or kind.replace("image/jpg", "image/jpeg")
    if kind not in _IMAGES:
        raise unsupported(path, f"'{kind[:64]}' is no kind of image that it takes; {_named(_IMAGES)} are")
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}


def _file(part: File, path: str) -> dict[str, Any]:
    if part.data is None:
        raise unsupported(f"{path}.file_id", "files are not stored there; send the file as 'file_data'")
    where = f"{path}.file_data"
    title = {} if part.filename is None else {"title": part.filename}
    if not is_data_url(part.data):
        return {
            "type": "document",
            "source": {"type": "url", "url": _https(part.data, where)},
            **title,
        }
    kind, data = split_data_url(part.data)
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


def _https(url: str, path: str) -> str:
    if url[:8].lower() != "https://":
        raise unsupported(path, "it fetches https: URLs alone; use one, or a data: URL")
    return url


def _named(names: frozenset[str]) -> str:
    *most, last = sorted(names)
    return f"{', '.join(most)} and {last}"
