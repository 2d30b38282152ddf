"""The messages of a chat completions request, closed: what is not named here is refused.

Of an assistant message that the gateway or OpenAI's SDK produced, every field is accepted, so that a history
can be sent back unchanged. What cannot matter to a model is not forwarded: `annotations`, the data of
`audio` (its `id` stands for it), `index` of a tool call, and the SDK's own `parsed` and `parsed_arguments`.
What a server put beside a call or a message comes and goes in `reasoning_details`.
"""

from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct, field

NonEmpty = Annotated[str, Meta(min_length=1)]
RawObject = Annotated[Raw, Meta(extra_json_schema={"type": ["object", "null"]})]
RawObjects = Annotated[Raw, Meta(extra_json_schema={"type": ["array", "null"], "items": {"type": "object"}})]
"""JSON that is passed on as it came; empty where left out. msgspec does not check it, the parser does."""


class Closed(Struct, forbid_unknown_fields=True, frozen=True):
    """Base of everything a caller may write."""


class CacheControl(Closed, frozen=True):
    """Asks the provider to keep the prompt up to here in its cache."""

    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class Part(Closed, frozen=True, tag_field="type"):
    """Base of content parts."""


class TextPart(Part, frozen=True, tag="text"):
    text: str
    cache_control: CacheControl | None = None


class ImageUrl(Closed, frozen=True):
    """`url` is an `https:` or `http:` URL, or a base64 `data:` URL."""

    url: NonEmpty
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Part, frozen=True, tag="image_url"):
    image_url: ImageUrl
    cache_control: CacheControl | None = None


class InputAudio(Closed, frozen=True):
    """`data` is base64, `format` its container, such as wav or mp3."""

    data: NonEmpty
    format: NonEmpty


class AudioPart(Part, frozen=True, tag="input_audio"):
    input_audio: InputAudio
    cache_control: CacheControl | None = None


class FileSource(Closed, frozen=True):
    """One of `file_data` (a base64 `data:` URL, or an `https:`/`http:` URL) and `file_id`."""

    filename: str | None = None
    file_data: NonEmpty | None = None
    file_id: NonEmpty | None = None


class FilePart(Part, frozen=True, tag="file"):
    file: FileSource
    cache_control: CacheControl | None = None


class RefusalPart(Part, frozen=True, tag="refusal"):
    refusal: str


InputPart = TextPart | ImagePart | AudioPart | FilePart
InputContent = str | Annotated[tuple[InputPart, ...], Meta(min_length=1)]
TextContent = str | Annotated[tuple[TextPart, ...], Meta(min_length=1)]
AssistantContent = str | Annotated[tuple[TextPart | RefusalPart, ...], Meta(min_length=1)]


class BaseMessage(Closed, frozen=True, tag_field="role"):
    """Base of messages."""


class SystemMessage(BaseMessage, frozen=True, tag="system"):
    """Sets the model's behaviour and context."""

    content: TextContent
    name: str | None = None


class DeveloperMessage(BaseMessage, frozen=True, tag="developer"):
    """Developer-level instructions."""

    content: TextContent
    name: str | None = None


class UserMessage(BaseMessage, frozen=True, tag="user"):
    content: InputContent
    name: str | None = None


class CalledFunction(Closed, frozen=True):
    """`arguments` is JSON text as the model wrote it."""

    name: NonEmpty
    arguments: str
    parsed_arguments: Raw = field(default_factory=Raw)


class PastToolCall(Closed, frozen=True):
    id: NonEmpty
    function: CalledFunction
    type: Literal["function"]
    index: int | None = None


class PastAudio(Closed, frozen=True):
    """Audio of an earlier answer, by its `id`; without one its transcript stands for it. What has neither
    cannot be said again, and is left out."""

    id: str | None = None
    data: str | None = None
    transcript: str | None = None
    expires_at: int | None = None


class PastImage(Closed, frozen=True):
    image_url: ImageUrl
    type: Literal["image_url"]
    index: int | None = None


class AssistantMessage(BaseMessage, frozen=True, tag="assistant"):
    """An earlier answer. `reasoning` and `reasoning_content` are two names of one thing.

    `reasoning_details` are the provider's own blocks and go back to it as they are.
    """

    content: AssistantContent | None = None
    name: str | None = None
    tool_calls: tuple[PastToolCall, ...] | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    reasoning_details: RawObjects = field(default_factory=Raw)
    images: tuple[PastImage, ...] | None = None
    audio: PastAudio | None = None
    annotations: RawObjects = field(default_factory=Raw)
    function_call: None = None
    parsed: Raw = field(default_factory=Raw)


class ToolMessage(BaseMessage, frozen=True, tag="tool"):
    """What a tool said. `tool_call_id` names a call of an earlier assistant message."""

    content: InputContent
    tool_call_id: NonEmpty
    name: str | None = None


AnyMessage = SystemMessage | DeveloperMessage | UserMessage | AssistantMessage | ToolMessage
