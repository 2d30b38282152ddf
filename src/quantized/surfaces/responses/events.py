"""The events of a streamed answer. `sequence_number` counts them from 0; it is set when one is sent."""

from msgspec import Raw, Struct

from quantized.surfaces.responses.output import (
    OutputItem,
    OutputRefusal,
    OutputText,
    ReasoningText,
    SummaryText,
    UrlCitation,
)


class StreamEvent(Struct, kw_only=True, tag_field="type"):
    """Base of events. The `event:` line repeats the `type`."""

    sequence_number: int = 0


class ResponseCreated(StreamEvent, tag="response.created"):
    response: Raw


class ResponseInProgress(StreamEvent, tag="response.in_progress"):
    response: Raw


class ResponseCompleted(StreamEvent, tag="response.completed"):
    response: Raw


class ResponseIncomplete(StreamEvent, tag="response.incomplete"):
    response: Raw


class ResponseFailed(StreamEvent, tag="response.failed"):
    response: Raw


class StreamError(StreamEvent, tag="error"):
    code: str | None
    message: str
    param: str | None


class ItemAdded(StreamEvent, tag="response.output_item.added"):
    output_index: int
    item: OutputItem


class ItemDone(StreamEvent, tag="response.output_item.done"):
    output_index: int
    item: OutputItem


class _InItem(StreamEvent, kw_only=True):
    item_id: str
    output_index: int


class _InContent(_InItem, kw_only=True):
    content_index: int = 0


class _InSummary(_InItem, kw_only=True):
    summary_index: int = 0


class ContentPartAdded(_InContent, tag="response.content_part.added"):
    part: OutputText | OutputRefusal | ReasoningText


class ContentPartDone(_InContent, tag="response.content_part.done"):
    part: OutputText | OutputRefusal | ReasoningText


class TextDelta(_InContent, tag="response.output_text.delta"):
    delta: str
    logprobs: tuple[()] = ()


class TextDone(_InContent, tag="response.output_text.done"):
    text: str
    logprobs: tuple[()] = ()


class AnnotationAdded(_InContent, tag="response.output_text.annotation.added"):
    annotation_index: int
    annotation: UrlCitation


class RefusalDelta(_InContent, tag="response.refusal.delta"):
    delta: str


class RefusalDone(_InContent, tag="response.refusal.done"):
    refusal: str


class ReasoningTextDelta(_InContent, tag="response.reasoning_text.delta"):
    delta: str


class ReasoningTextDone(_InContent, tag="response.reasoning_text.done"):
    text: str


class SummaryPartAdded(_InSummary, tag="response.reasoning_summary_part.added"):
    part: SummaryText


class SummaryPartDone(_InSummary, tag="response.reasoning_summary_part.done"):
    part: SummaryText


class SummaryTextDelta(_InSummary, tag="response.reasoning_summary_text.delta"):
    delta: str


class SummaryTextDone(_InSummary, tag="response.reasoning_summary_text.done"):
    text: str


class ArgumentsDelta(_InItem, tag="response.function_call_arguments.delta"):
    delta: str


class ArgumentsDone(_InItem, tag="response.function_call_arguments.done"):
    name: str
    arguments: str


class SearchInProgress(_InItem, tag="response.web_search_call.in_progress"):
    pass


class SearchSearching(_InItem, tag="response.web_search_call.searching"):
    pass


class SearchCompleted(_InItem, tag="response.web_search_call.completed"):
    pass


class ImageInProgress(_InItem, tag="response.image_generation_call.in_progress"):
    pass


class ImageGenerating(_InItem, tag="response.image_generation_call.generating"):
    pass


class ImageCompleted(_InItem, tag="response.image_generation_call.completed"):
    pass


AnyEvent = (
    ResponseCreated
    | ResponseInProgress
    | ResponseCompleted
    | ResponseIncomplete
    | ResponseFailed
    | StreamError
    | ItemAdded
    | ItemDone
    | ContentPartAdded
    | ContentPartDone
    | TextDelta
    | TextDone
    | AnnotationAdded
    | RefusalDelta
    | RefusalDone
    | ReasoningTextDelta
    | ReasoningTextDone
    | SummaryPartAdded
    | SummaryPartDone
    | SummaryTextDelta
    | SummaryTextDone
    | ArgumentsDelta
    | ArgumentsDone
    | SearchInProgress
    | SearchSearching
    | SearchCompleted
    | ImageInProgress
    | ImageGenerating
    | ImageCompleted
)
