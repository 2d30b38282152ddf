"""The parts of a message to Converse's content blocks."""

import binascii
import re
from base64 import b64decode
from typing import Any

from msgspec import DecodeError
from msgspec.json import decode

from quantized.core.parts import Audio, File, Image, Seal, Text
from quantized.providers.bedrock.families import Family
from quantized.providers.bedrock.seals import read
from quantized.providers.content import Block, Said
from quantized.providers.places import SealedBlock
from quantized.providers.refusal import unsupported
from quantized.wire.data_url import image_kind, is_data_url, split_data_url

_CALL_IDS = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")

_IMAGES = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_OFFICE = "application/vnd.openxmlformats-officedocument"
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    f"{_OFFICE}.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    f"{_OFFICE}.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_EXTENSIONS = frozenset(_DOCUMENTS.values())
_UNTOLD = frozenset({"", "application/octet-stream", "binary/octet-stream"})
"""Media types that say nothing; the file's name may."""
_SOUNDS = frozenset(
    {"aac", "flac", "m4a", "mka", "mkv", "mp3", "mp4", "mpeg", "mpga", "ogg", "opus", "pcm", "wav", "webm"}
)

_UNNAMEABLE = re.compile(r"[^a-zA-Z0-9\s()\[\]-]")
_SPACES = re.compile(r"\s+")
_LONGEST_NAME = 200
NOTHING = "(no output)"
"""The result of a call that returned nothing: Converse takes no empty text."""


class ConverseWriter:
    """Writes the blocks of one request for one family of models (`turns.Writer`). Remembers the names of its
    documents, of which no two may be alike."""

    call_ids = _CALL_IDS
    call_id_prefix = "tooluse_"

    def __init__(self, family: Family) -> None:
        self._family = family
        self._names: set[str] = set()

    def content(self, part: Said, path: str) -> Block | None:
        """Raises Refused."""
        body: dict[str, Any]
        match part:
            case Text(text):
                if not text.strip():
                    return None
                body = {"text": text}
            case Image(url, detail):
                body = self._image(url, detail, path)
            case File():
                body = self._file(part, f"{path}.file")
            case Audio(data, kind):
                body = self._audio(data, kind, f"{path}.input_audio")
        return Block(body, path, part.cache)

    def result(self, call_id: str, content: list[Block], path: str) -> Block:
        """Raises Refused."""
        for block in content:
            if "text" not in block.body and not self._family.media_in_results:
                raise unsupported(
                    block.path, "this model reads a tool's result as text alone; send the rest as the user's"
                )
        written = [block.body for block in content] or [{"text": NOTHING}]
        if self._family.json_results:
            written = [{"json": _as_object(body["text"])} if "text" in body else body for body in written]
        return Block({"toolResult": {"toolUseId": call_id, "content": written}}, path)

    def call(self, call_id: str, name: str, arguments: dict[str, Any], path: str) -> Block:
        """Raises Refused."""
        check_tool_name(name, f"{path}.function.name")
        return Block({"toolUse": {"toolUseId": call_id, "name": name, "input": arguments}}, path)

    def read(self, seal: Seal) -> SealedBlock | None:
        """Raises InvalidValue."""
        return read(seal, self._family.name)

    def _image(self, url: str, detail: str | None, path: str) -> dict[str, Any]:
        where = f"{path}.image_url.url"
        if detail == "low":
            raise unsupported(f"{path}.image_url.detail", "images are read in full; leave 'detail' out")
        return self._picture(*_data(url, where), where)

    def _picture(self, kind: str, data: str, path: str) -> dict[str, Any]:
        """What the bytes say wins over what the URL says: models compare the two."""
        kind = image_kind(data) or kind
        if kind not in _IMAGES:
            raise unsupported(
                path, f"'{kind[:64]}' is no kind of image that it takes; PNG, JPEG, GIF and WebP are"
            )
        if not self._family.images:
            raise unsupported(path, "this model reads no images; use one that does")
        return {"image": {"format": _IMAGES[kind], "source": {"bytes": data}}}

    def _file(self, part: File, path: str) -> dict[str, Any]:
        if part.data is None:
            raise unsupported(f"{path}.file_id", "files are not stored there; send the file as 'file_data'")
        where = f"{path}.file_data"
        kind, data = _data(part.data, where)
        if kind.startswith("image/"):
            return self._picture(kind, data, where)
        stem, dot, extension = (part.filename or "").rpartition(".")
        form = _DOCUMENTS.get(kind)
        if form is None and kind in _UNTOLD and extension.lower() in _EXTENSIONS:
            form = extension.lower()
        if form is None:
            raise unsupported(
                where,
                f"it takes PDF, Word, Excel, CSV, HTML, Markdown and plain text, not '{kind[:64]}'; send "
                "what the file says as text",
            )
        if not self._family.documents:
            raise unsupported(where, "this model reads no documents; send what the file says as text")
        name = self._name(stem if dot else extension)
        return {"document": {"format": form, "name": name, "source": {"bytes": data}}}

    def _name(self, written: str) -> str:
        """A name of the few characters that documents may have, and no other's."""
        plain = _SPACES.sub(" ", _UNNAMEABLE.sub(" ", written)).strip()[:_LONGEST_NAME].strip() or "document"
        name, count = plain, 1
        while name in self._names:
            count += 1
            suffix = f" ({count})"
            name = plain[: _LONGEST_NAME - len(suffix)].strip() + suffix
        self._names.add(name)
        return name

    def _audio(self, data: str, kind: str, path: str) -> dict[str, Any]:
        if not self._family.audio:
            raise unsupported(path, "this model hears nothing; send a transcript, or use one that does")
        if kind.lower() not in _SOUNDS:
            raise unsupported(
                f"{path}.format", f"'{kind[:64]}' is no format that it takes; 'wav' and 'mp3' are"
            )
        return {"audio": {"format": kind.lower(), "source": {"bytes": _checked(data, f"{path}.data")}}}


def check_tool_name(name: str, path: str) -> None:
    """Raises Refused."""
    if not _TOOL_NAME.fullmatch(name):
        raise unsupported(path, "names are letters, digits, '_' and '-', at most 64")


def _data(url: str, path: str) -> tuple[str, str]:
    """(media type, base64). Raises Refused for a URL that would have to be fetched."""
    if not is_data_url(url):
        raise unsupported(path, "it fetches nothing; send the bytes in a data: URL")
    kind, data = split_data_url(url)
    return kind, _checked(data, path)


def _checked(data: str, path: str) -> str:
    try:
        found = b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise unsupported(path, "it is not valid base64") from error
    if not found:
        raise unsupported(path, "it is empty; leave it out")
    return data


def _as_object(text: str) -> dict[str, Any]:
    """The JSON object that a text is, or one that holds it."""
    try:
        found: dict[str, Any] = decode(text.encode("utf-8", "surrogatepass"), type=dict[str, Any])
    except (DecodeError, UnicodeError, RecursionError):
        return {"output": text}
    return found
