"""What may stand in `input`, closed: what is not named here is refused.

Of an item that the gateway or OpenAI's SDK produced every field is accepted, so that `output` can be sent
back unchanged; a field that is always null there must be null here. What cannot matter to a model is not
forwarded: `annotations`, `logprobs`, `status` and the SDK's own `parsed` and `parsed_arguments`.

A message may leave its `type` out, so items are told apart by `item_type` and not by one tag.
"""

from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct, field

NonEmpty = Annotated[str, Meta(min_length=1)]
RawObject = Annotated[Raw, Meta(extra_json_schema={"type": ["object", "null"]})]
RawObjects = Annotated[Raw, Meta(extra_json_schema={"type": ["array", "null"], "items": {"type": "object"}})]
"""JSON that is passed on as it came; empty where left out. msgspec does not check it, the parser does."""
ItemStatus = Literal["in_progress", "completed", "incomplete"]


class Closed(Struct, forbid_unknown_fields=True, frozen=True):
    """Base of everything a caller may write."""


class Part(Closed, frozen=True, tag_field="type"):
    """Base of content parts."""


class InputTextPart(Part, frozen=True, tag="input_text"):
    text: str


class InputImagePart(Part, frozen=True, tag="input_image"):
    """`image_url` is an `https:` or `http:` URL, or a base64 `data:` URL."""

    image_url: NonEmpty
    detail: Literal["auto", "low", "high", "original"] | None = None
    file_id: None = None


class InputFilePart(Part, frozen=True, tag="input_file"):
    """One of `file_data` (a base64 `data:` URL), `file_url` (`https:` or `http:`) and `file_id`."""

    filename: str | None = None
    file_data: NonEmpty | None = None
    file_url: NonEmpty | None = None
    file_id: NonEmpty | None = None


class AudioSource(Closed, frozen=True):
    """`data` is base64, `format` its container, such as wav or mp3."""

    data: NonEmpty
    format: NonEmpty


class InputAudioPart(Part, frozen=True, tag="input_audio"):
    input_audio: AudioSource


class OutputTextPart(Part, frozen=True, tag="output_text"):
    text: str
    annotations: RawObjects = field(default_factory=Raw)
    logprobs: RawObjects = field(default_factory=Raw)
    parsed: Raw = field(default_factory=Raw)


class OutputRefusalPart(Part, frozen=True, tag="refusal"):
    refusal: str


class SummaryPart(Part, frozen=True, tag="summary_text"):
    text: str


class ReasoningTextPart(Part, frozen=True, tag="reasoning_text"):
    text: str


InputPart = InputTextPart | InputImagePart | InputFilePart | InputAudioPart
InputContent = str | Annotated[tuple[InputPart, ...], Meta(min_length=1)]
TextContent = str | Annotated[tuple[InputTextPart, ...], Meta(min_length=1)]
AssistantPart = OutputTextPart | OutputRefusalPart | InputTextPart
ToolOutput = str | Annotated[tuple[InputTextPart | InputImagePart | InputFilePart, ...], Meta(min_length=1)]


class Item(Closed, frozen=True):
    """Base of input items. `id` is what an earlier answer gave the item; it names nothing by itself."""


class UserItem(Item, frozen=True):
    role: Literal["user"]
    content: InputContent
    type: Literal["message"] | None = None
    id: str | None = None
    status: ItemStatus | None = None


class SystemItem(Item, frozen=True):
    """Sets the model's behaviour and context."""

    role: Literal["system"]
    content: TextContent
    type: Literal["message"] | None = None
    id: str | None = None
    status: ItemStatus | None = None


class DeveloperItem(Item, frozen=True):
    """Developer-level instructions."""

    role: Literal["developer"]
    content: TextContent
    type: Literal["message"] | None = None
    id: str | None = None
    status: ItemStatus | None = None


class AssistantItem(Item, frozen=True):
    """Something said in an earlier answer."""

    role: Literal["assistant"]
    content: str | tuple[AssistantPart, ...]
    type: Literal["message"] | None = None
    id: str | None = None
    status: ItemStatus | None = None
    phase: None = None


class FunctionCallItem(Item, frozen=True):
    """A call of an earlier answer. `arguments` is JSON text as the model wrote it."""

    type: Literal["function_call"]
    call_id: NonEmpty
    name: NonEmpty
    arguments: str
    id: str | None = None
    status: ItemStatus | None = None
    parsed_arguments: Raw = field(default_factory=Raw)
    caller: None = None
    namespace: None = None
    created_by: None = None
    asynchronous: None = field(default=None, name="async")
    async_: None = None


class FunctionCallOutputItem(Item, frozen=True):
    """What a function returned. `call_id` names a call of this input or of the conversation before it."""

    type: Literal["function_call_output"]
    call_id: NonEmpty
    output: ToolOutput
    id: str | None = None
    status: ItemStatus | None = None
    name: str | None = None
    caller: None = None
    namespace: None = None
    created_by: None = None


class ReasoningItem(Item, frozen=True):
    """What a model thought in an earlier answer. With the `id` that it had there, what is stored under it
    goes back to the model in place of the text."""

    type: Literal["reasoning"]
    id: str | None = None
    summary: tuple[SummaryPart, ...] | None = None
    content: tuple[ReasoningTextPart, ...] | None = None
    encrypted_content: None = None
    status: ItemStatus | None = None


class ItemReference(Item, frozen=True):
    """An item of a stored response, by its id."""

    id: NonEmpty
    type: Literal["item_reference"] | None = None


class WebSearchCallItem(Item, frozen=True):
    """A search of an earlier answer. What it found is in the answer's text, so it is not forwarded."""

    type: Literal["web_search_call"]
    id: str | None = None
    status: Literal["in_progress", "searching", "completed", "failed", "incomplete"] | None = None
    action: RawObject = field(default_factory=Raw)


class ImageGenerationCallItem(Item, frozen=True):
    """An image of an earlier answer: base64, or its URL."""

    type: Literal["image_generation_call"]
    result: NonEmpty
    id: str | None = None
    status: Literal["in_progress", "completed", "generating", "failed"] | None = None
    output_format: Literal["png", "webp", "jpeg", "gif", "svg"] | None = None
    action: None = None
    background: None = None
    error: None = None
    quality: None = None
    revised_prompt: None = None
    size: None = None
    svg_usage: None = None


AnyItem = (
    UserItem
    | SystemItem
    | DeveloperItem
    | AssistantItem
    | FunctionCallItem
    | FunctionCallOutputItem
    | ReasoningItem
    | ItemReference
    | WebSearchCallItem
    | ImageGenerationCallItem
)

MESSAGES: dict[str, type[Item]] = {
    "user": UserItem,
    "assistant": AssistantItem,
    "system": SystemItem,
    "developer": DeveloperItem,
}
"""By `role`."""

OTHERS: dict[str, type[Item]] = {
    "function_call": FunctionCallItem,
    "function_call_output": FunctionCallOutputItem,
    "reasoning": ReasoningItem,
    "item_reference": ItemReference,
    "web_search_call": WebSearchCallItem,
    "image_generation_call": ImageGenerationCallItem,
}
"""By `type`; a message is of the type `message` or of none."""
