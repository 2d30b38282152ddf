"""The messages of a request to messages of the house, with the checks that no type can make."""

from typing import Any

from msgspec import Raw, Struct
from msgspec.json import Decoder

from quantized.core.errors import InvalidValue, MissingField
from quantized.core.parts import (
    AnyPart,
    Audio,
    AudioReference,
    CacheMark,
    File,
    Image,
    Reasoning,
    Refusal,
    Seal,
    Text,
    ToolCall,
    ToolResult,
)
from quantized.core.request import Message
from quantized.surfaces.chat.messages import (
    AnyMessage,
    AssistantContent,
    AssistantMessage,
    AudioPart,
    CacheControl,
    DeveloperMessage,
    FilePart,
    FileSource,
    ImagePart,
    ImageUrl,
    InputContent,
    InputPart,
    PastAudio,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)
from quantized.wire.strict import require_objects

REASONING_DETAILS = "reasoning_details"
"""The kind of a seal whose payload is a block, or an array of blocks, of the field of that name."""
MESSAGE_DETAILS = "message_details"
"""The same, of a block that no thought can be read in, and without which its message is not taken back."""


class _Block(Struct, frozen=True):
    """A block names its maker where the gateway told it who that is."""

    provider: Any = None


_BLOCKS = Decoder(list[Raw])
_BLOCK = Decoder(_Block)
_LEFT_OUT = Raw()
_NULL = Raw(b"null")


def read_messages(messages: tuple[AnyMessage, ...], depth: int) -> tuple[Message, ...]:
    """Raises InvalidValue, MissingField and MalformedBody with the path of the field."""
    called: set[str] = set()
    return tuple([_message(message, called, at, depth) for at, message in enumerate(messages)])


def given(raw: Raw) -> bool:
    """Whether a raw field was there and not null."""
    return raw not in (_LEFT_OUT, _NULL)


def _message(message: AnyMessage, called: set[str], at: int, depth: int) -> Message:
    match message:
        case UserMessage(content, name):
            return Message("user", _input_parts(content, at), name)
        case SystemMessage(content, name):
            return Message("system", _input_parts(content, at), name)
        case AssistantMessage():
            called.update([call.id for call in message.tool_calls or ()])
            return Message("assistant", tuple(_assistant_parts(message, at, depth)), message.name)
        case ToolMessage(content, call_id, name):
            if call_id not in called:
                raise InvalidValue(
                    f"Invalid value for 'messages[{at}].tool_call_id': no earlier assistant message has a "
                    f"tool call with the id '{call_id[:64]}'.",
                    param=f"messages[{at}].tool_call_id",
                    code="invalid_value",
                )
            return Message("tool", (ToolResult(call_id, _input_parts(content, at)),), name)
        case DeveloperMessage(content, name):
            return Message("developer", _input_parts(content, at), name)


def _input_parts(content: InputContent, at: int) -> tuple[Text | Image | Audio | File, ...]:
    if isinstance(content, str):
        return (Text(content),)
    return tuple([_input_part(part, f"messages[{at}].content[{n}]") for n, part in enumerate(content)])


def _input_part(part: InputPart, path: str) -> Text | Image | Audio | File:
    match part:
        case TextPart(text, cache):
            return Text(text, cache_mark(cache))
        case ImagePart(source, cache):
            return _image(source, cache_mark(cache), f"{path}.image_url")
        case AudioPart(source, cache):
            return Audio(source.data, source.format, cache_mark(cache))
        case FilePart(source, cache):
            return _file(source, cache_mark(cache), f"{path}.file")


def _image(source: ImageUrl, cache: CacheMark | None, path: str) -> Image:
    _check_url(source.url, f"{path}.url")
    return Image(source.url, source.detail, cache)


def _file(source: FileSource, cache: CacheMark | None, path: str) -> File:
    if source.file_data is None and source.file_id is None:
        raise MissingField(
            f"Missing required field '{path}.file_data': a file needs 'file_data' or 'file_id'.",
            param=f"{path}.file_data",
            code="missing_required_parameter",
        )
    if source.file_data is not None:
        if source.file_id is not None:
            raise InvalidValue(
                f"Invalid value for '{path}': give one of 'file_data' and 'file_id', not both.",
                param=f"{path}.file_id",
                code="invalid_value",
            )
        _check_url(source.file_data, f"{path}.file_data")
    return File(source.filename, source.file_data, source.file_id, cache)


def _check_url(url: str, path: str) -> None:
    head = url[:256].lower()
    if head.startswith(("https://", "http://")):
        return
    if head.startswith("data:") and head.partition(",")[0].endswith(";base64"):
        return
    raise InvalidValue(
        f"Invalid value for '{path}': expected an https: or http: URL, or a data: URL in base64 such as "
        f"'data:image/png;base64,…'.",
        param=path,
        code="invalid_value",
    )


def cache_mark(control: CacheControl | None) -> CacheMark | None:
    return None if control is None else CacheMark(control.ttl)


def _assistant_parts(message: AssistantMessage, at: int, depth: int) -> list[AnyPart]:
    parts: list[AnyPart] = []
    if given(message.annotations):
        require_objects(message.annotations, f"messages[{at}].annotations", depth)
    if reasoning := _reasoning(message, at, depth):
        parts.append(reasoning)
    if message.content is not None:
        parts.extend(_spoken(message.content))
    if message.refusal is not None:
        parts.append(Refusal(message.refusal))
    if message.audio is not None:
        parts.extend(_past_audio(message.audio, f"messages[{at}].audio"))
    for n, image in enumerate(message.images or ()):
        parts.append(_image(image.image_url, None, f"messages[{at}].images[{n}].image_url"))
    parts.extend(
        [ToolCall(call.id, call.function.name, call.function.arguments) for call in message.tool_calls or ()]
    )
    return parts


def _spoken(content: AssistantContent) -> list[Text | Refusal]:
    if isinstance(content, str):
        return [Text(content)]
    return [
        Refusal(part.refusal)
        if isinstance(part, RefusalPart)
        else Text(part.text, cache_mark(part.cache_control))
        for part in content
    ]


def _past_audio(audio: PastAudio, path: str) -> tuple[AudioReference | Text, ...]:
    if audio.id:
        return (AudioReference(audio.id),)
    if audio.transcript:
        return (Text(audio.transcript),)
    if audio.data:
        # Told by a provider that keeps nothing and writes nothing down: there is no way to say it again.
        return ()
    raise MissingField(
        f"Missing required field '{path}.id': expected the id of an earlier audio answer.",
        param=f"{path}.id",
        code="missing_required_parameter",
    )


def _reasoning(message: AssistantMessage, at: int, depth: int) -> Reasoning | None:
    text, alias = message.reasoning, message.reasoning_content
    if text and alias and text != alias:
        raise InvalidValue(
            f"Invalid value for 'messages[{at}].reasoning_content': it differs from 'reasoning', of which it "
            f"is another name. Give one of them.",
            param=f"messages[{at}].reasoning_content",
            code="invalid_value",
        )
    seals: tuple[Seal, ...] = ()
    if given(message.reasoning_details):
        require_objects(message.reasoning_details, f"messages[{at}].reasoning_details", depth)
        seals = tuple([_seal(bytes(block)) for block in _BLOCKS.decode(message.reasoning_details)])
    readable = text or alias
    return Reasoning(readable, seals) if readable or seals else None


def _seal(block: bytes) -> Seal:
    maker = _BLOCK.decode(block).provider
    return Seal(maker if isinstance(maker, str) and maker else None, REASONING_DETAILS, block)
