"""The items of an answer, as a caller reads them."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

ItemStatus = Literal["in_progress", "completed", "incomplete"]


class UrlCitation(Struct, frozen=True, kw_only=True, tag_field="type", tag="url_citation"):
    """The places are counted in characters of the text; both are 0 where the provider told none."""

    url: str
    title: str
    start_index: int
    end_index: int


class OutputText(Struct, frozen=True, kw_only=True, tag_field="type", tag="output_text"):
    """`logprobs` cannot be asked for, so there are none."""

    text: str
    annotations: tuple[UrlCitation, ...] = ()
    logprobs: tuple[()] = ()


class OutputRefusal(Struct, frozen=True, kw_only=True, tag_field="type", tag="refusal"):
    refusal: str


class ReasoningText(Struct, frozen=True, kw_only=True, tag_field="type", tag="reasoning_text"):
    text: str


class SummaryText(Struct, frozen=True, kw_only=True, tag_field="type", tag="summary_text"):
    text: str


class MessageOutput(Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    id: str
    status: ItemStatus
    role: Literal["assistant"] = "assistant"
    content: tuple[OutputText | OutputRefusal, ...]


class FunctionCallOutput(Struct, frozen=True, kw_only=True, tag_field="type", tag="function_call"):
    """A `function_call_output` answers to the `call_id`. `arguments` is JSON text as the model wrote it."""

    id: str
    status: ItemStatus
    call_id: str
    name: str
    arguments: str


class ReasoningOutput(Struct, frozen=True, kw_only=True, tag_field="type", tag="reasoning"):
    """What the model thought: in `content` where it shows its thinking, in `summary` where it shows a summary
    of it. What only its maker can read stays with the gateway, which gives it back."""

    id: str
    status: ItemStatus
    summary: tuple[SummaryText, ...] = ()
    content: tuple[ReasoningText, ...] | None = None
    encrypted_content: None = None


class SearchSource(Struct, frozen=True, kw_only=True, tag_field="type", tag="url"):
    url: str


class SearchAction(Struct, frozen=True, kw_only=True, tag_field="type", tag="search"):
    """`query` is empty: providers do not tell what they searched for. `sources` are the pages cited."""

    query: str = ""
    sources: tuple[SearchSource, ...] = ()


class WebSearchOutput(Struct, frozen=True, kw_only=True, tag_field="type", tag="web_search_call"):
    """Stands for all searches of the answer, and after what was found by them."""

    id: str
    status: Literal["in_progress", "searching", "completed"]
    action: SearchAction


class ImageOutput(Struct, frozen=True, kw_only=True, tag_field="type", tag="image_generation_call"):
    """`result` is base64, or the image's URL where the provider gave one."""

    id: str
    status: Literal["in_progress", "completed"]
    result: str | None
    output_format: Literal["png", "webp", "jpeg", "gif", "svg"] | UnsetType = UNSET


OutputItem = MessageOutput | FunctionCallOutput | ReasoningOutput | WebSearchOutput | ImageOutput
