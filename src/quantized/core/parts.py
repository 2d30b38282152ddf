"""What messages and answers are made of: ordered, typed parts."""

from typing import Literal

from msgspec import Raw, Struct


class Seal(Struct, frozen=True):
    """Something a provider minted and must get back byte for byte, and that nobody else may read or make.

    `minted_by` is the provider's name, or None where a caller handed the block back and only its maker can
    tell whether it is its own. `payload` is JSON text as it came.
    """

    minted_by: str | None
    kind: str
    payload: bytes


class CacheMark(Struct, frozen=True):
    """The caller's wish that the prefix up to here be cached."""

    ttl: Literal["5m", "1h"] | None = None


class Part(Struct, frozen=True, tag_field="type", tag=str.lower):
    """Base of the parts of a message that goes to a model."""


class Text(Part, frozen=True):
    text: str
    cache: CacheMark | None = None


class Image(Part, frozen=True):
    """`url` is `data:` with base64, or `https:`/`http:`."""

    url: str
    detail: str | None = None
    cache: CacheMark | None = None


class Audio(Part, frozen=True):
    """Base64 in `data`; `format` as the caller named it (wav, mp3, …)."""

    data: str
    format: str
    cache: CacheMark | None = None


class File(Part, frozen=True):
    """One of `data` (a `data:` or remote URL) and `file_id` is set."""

    filename: str | None = None
    data: str | None = None
    file_id: str | None = None
    cache: CacheMark | None = None


class Reasoning(Part, frozen=True):
    """What a model thought in an earlier turn: readable text, and the blocks only its maker can read."""

    text: str | None
    seals: tuple[Seal, ...] = ()


class Refusal(Part, frozen=True):
    text: str


class AudioReference(Part, frozen=True):
    """Audio that a model spoke in an earlier turn, by the id the provider gave it."""

    id: str


class ToolCall(Part, frozen=True):
    """`arguments` is JSON text as the model wrote it, which need not be valid JSON."""

    id: str
    name: str
    arguments: str


class ToolResult(Part, frozen=True):
    call_id: str
    parts: tuple[Text | Image | Audio | File, ...]


class Reference(Part, frozen=True):
    """Stands for a stored item of an earlier answer, by its id, until the store has been asked."""

    id: str


AnyPart = (
    Text | Image | Audio | File | Reasoning | Refusal | AudioReference | ToolCall | ToolResult | Reference
)


class OutputText(Struct, frozen=True):
    """Text of an answer. `annotations` (citations) are JSON objects as the provider wrote them."""

    text: str
    annotations: tuple[Raw, ...] = ()


class OutputImage(Struct, frozen=True):
    url: str


class OutputAudio(Struct, frozen=True):
    """`data` is base64; `id` and `expires_at` let a later turn refer to it while the provider keeps it."""

    id: str | None
    data: str
    transcript: str
    expires_at: int | None


OutputPart = OutputText | Reasoning | Refusal | ToolCall | OutputImage | OutputAudio
