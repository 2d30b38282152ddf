"""The items of `input` to messages of the house, with the checks that no type can make."""

from typing import Any, NoReturn

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder

from quantized.core.errors import InvalidValue, MissingField
from quantized.core.parts import (
    AnyPart,
    Audio,
    File,
    Image,
    Reasoning,
    Reference,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from quantized.core.request import Message
from quantized.surfaces.responses.asked import AskedItem
from quantized.surfaces.responses.items import (
    MESSAGES,
    OTHERS,
    AnyItem,
    AssistantItem,
    AssistantPart,
    DeveloperItem,
    FunctionCallItem,
    FunctionCallOutputItem,
    ImageGenerationCallItem,
    InputAudioPart,
    InputContent,
    InputFilePart,
    InputImagePart,
    InputPart,
    InputTextPart,
    Item,
    ItemReference,
    OutputRefusalPart,
    OutputTextPart,
    ReasoningItem,
    SystemItem,
    UserItem,
    WebSearchCallItem,
)
from quantized.surfaces.responses.schema import HINTS
from quantized.wire.strict import StrictDecoder, require_object, require_objects


class _Head(Struct, frozen=True):
    """What tells the kinds of items apart."""

    type: Any = None
    role: Any = None
    id: Any = None


_HEAD = Decoder(_Head)
_DECODERS: dict[type[Item], StrictDecoder[Any]] = {
    kind: StrictDecoder(kind, HINTS) for kind in (*MESSAGES.values(), *OTHERS.values())
}
_LEFT_OUT = Raw()
_NULL = Raw(b"null")


def read_input(written: str | tuple[Raw, ...], depth: int) -> tuple[AskedItem, ...]:
    """Raises InvalidRequest and its kinds with the path of the field."""
    if isinstance(written, str):
        return (AskedItem("input", UserItem("user", written), Message("user", (Text(written),))),)
    return tuple([_read_item(bytes(raw), f"input[{at}]", depth) for at, raw in enumerate(written)])


def given(raw: Raw) -> bool:
    """Whether a raw field was there and not null."""
    return raw not in (_LEFT_OUT, _NULL)


def image_url(item: ImageGenerationCallItem) -> str:
    """The image of an earlier answer as a URL: what was none there is base64."""
    if item.result.startswith(("https://", "http://", "data:")):
        return item.result
    return f"data:image/{item.output_format or 'png'};base64,{item.result}"


def _read_item(raw: bytes, path: str, depth: int) -> AskedItem:
    item: AnyItem = _DECODERS[_kind(raw, path)].decode(raw, path)
    return AskedItem(path, item, _message(item, path, depth))


def _kind(raw: bytes, path: str) -> type[Item]:
    try:
        head = _HEAD.decode(raw)
    except DecodeError:
        # No object: any of the kinds says so.
        return UserItem
    if head.type is None and head.role is None and head.id is not None:
        return ItemReference
    if head.type in (None, "message"):
        return _among(MESSAGES, head.role, f"{path}.role")
    return _among({"message": UserItem, **OTHERS}, head.type, f"{path}.type")


def _among(kinds: dict[str, type[Item]], name: object, path: str) -> type[Item]:
    if isinstance(name, str) and name in kinds:
        return kinds[name]
    *most, last = [f"'{kind}'" for kind in kinds]
    expected = f"expected {', '.join(most)} or {last}"
    if name is None:
        raise MissingField(
            f"Missing required field '{path}': {expected}.", param=path, code="missing_required_parameter"
        )
    found = f", found the string '{name[:40]}'" if isinstance(name, str) else ""
    code = "invalid_value" if isinstance(name, str) else "invalid_type"
    raise InvalidValue(f"Invalid value for '{path}': {expected}{found}.", param=path, code=code)


def _message(item: AnyItem, path: str, depth: int) -> Message | None:
    message = None
    match item:
        case UserItem(role, content) | SystemItem(role, content) | DeveloperItem(role, content):
            message = Message(role, _input_parts(content, f"{path}.content"))
        case AssistantItem(_, content):
            message = Message("assistant", _assistant_parts(content, f"{path}.content", depth))
        case FunctionCallItem(_, call_id, name, arguments):
            message = Message("assistant", (ToolCall(call_id, name, arguments),))
        case FunctionCallOutputItem(_, call_id, output):
            message = Message("tool", (ToolResult(call_id, _input_parts(output, f"{path}.output")),))
        case ReasoningItem():
            message = Message("assistant", _thoughts(item))
        case ItemReference(item_id):
            message = Message("user", (Reference(item_id),))
        case ImageGenerationCallItem():
            url = image_url(item)
            _check_url(url, f"{path}.result")
            message = Message("assistant", (Image(url),))
        case WebSearchCallItem():
            if given(item.action):
                require_object(item.action, f"{path}.action", depth)
    return message


def _input_parts(content: InputContent, path: str) -> tuple[Text | Image | Audio | File, ...]:
    if isinstance(content, str):
        return (Text(content),)
    return tuple([_input_part(part, f"{path}[{n}]") for n, part in enumerate(content)])


def _input_part(part: InputPart, path: str) -> Text | Image | Audio | File:
    match part:
        case InputTextPart(text):
            return Text(text)
        case InputImagePart(url, detail):
            _check_url(url, f"{path}.image_url")
            return Image(url, detail)
        case InputAudioPart(source):
            return Audio(source.data, source.format)
        case InputFilePart():
            return _file(part, path)


def _file(part: InputFilePart, path: str) -> File:
    sources = [name for name in ("file_data", "file_url", "file_id") if getattr(part, name) is not None]
    if not sources:
        raise MissingField(
            f"Missing required field '{path}.file_data': a file needs 'file_data', 'file_url' or 'file_id'.",
            param=f"{path}.file_data",
            code="missing_required_parameter",
        )
    if len(sources) > 1:
        _refuse(f"{path}.{sources[1]}", f"'{sources[0]}' is given already. Give one of them.")
    if part.file_data is not None and not _is_base64(part.file_data):
        _refuse(
            f"{path}.file_data", "expected a data: URL in base64 such as 'data:application/pdf;base64,…'."
        )
    if part.file_url is not None and not _is_remote(part.file_url):
        _refuse(f"{path}.file_url", "expected an https: or http: URL.")
    return File(part.filename, part.file_data or part.file_url, part.file_id)


def _check_url(url: str, path: str) -> None:
    if not _is_remote(url) and not _is_base64(url):
        _refuse(
            path,
            "expected an https: or http: URL, or a data: URL in base64 such as 'data:image/png;base64,…'.",
        )


def _is_remote(url: str) -> bool:
    return url[:8].lower().startswith(("https://", "http://"))


def _is_base64(url: str) -> bool:
    head = url[:256].lower()
    return head.startswith("data:") and head.partition(",")[0].endswith(";base64")


def _refuse(path: str, why: str) -> NoReturn:
    raise InvalidValue(f"Invalid value for '{path}': {why}", param=path, code="invalid_value")


def _assistant_parts(content: str | tuple[AssistantPart, ...], path: str, depth: int) -> tuple[AnyPart, ...]:
    if isinstance(content, str):
        return (Text(content),)
    return tuple([_assistant_part(part, f"{path}[{n}]", depth) for n, part in enumerate(content)])


def _assistant_part(part: AssistantPart, path: str, depth: int) -> Text | Refusal:
    match part:
        case OutputRefusalPart(refusal):
            return Refusal(refusal)
        case InputTextPart(text):
            return Text(text)
        case OutputTextPart(text, annotations, logprobs):
            for name, raw in (("annotations", annotations), ("logprobs", logprobs)):
                if given(raw):
                    require_objects(raw, f"{path}.{name}", depth)
            return Text(text)


def _thoughts(item: ReasoningItem) -> tuple[Reasoning, ...]:
    """The text as the caller knows it: the full one, or else its summary."""
    text = "".join([part.text for part in item.content or ()])
    text = text or "\n\n".join([part.text for part in item.summary or ()])
    return (Reasoning(text),) if text else ()
