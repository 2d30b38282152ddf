"""Output items while they come into being: what each kind tells when it begins, grows and ends."""

from collections.abc import Sequence
from typing import Any, ClassVar

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder

from quantized.core.parts import AnyPart, Image, Reasoning, Refusal, Seal, Text, ToolCall
from quantized.surfaces.responses import events as told
from quantized.surfaces.responses.events import StreamEvent
from quantized.surfaces.responses.output import (
    FunctionCallOutput,
    ImageOutput,
    ItemStatus,
    MessageOutput,
    OutputItem,
    OutputRefusal,
    OutputText,
    ReasoningOutput,
    ReasoningText,
    SearchAction,
    SearchSource,
    SummaryText,
    UrlCitation,
    WebSearchOutput,
)


class Draft:
    """One item. `index` is its place in `output`. While it is open its status is `in_progress`; `ends_early`
    says that it may end when something else begins, since a new item can take up what it left."""

    prefix: ClassVar[str]
    ends_early: bool = False
    shown: ClassVar[bool] = True

    def __init__(self, suffix: str, index: int) -> None:
        self.id = f"{self.prefix}-{suffix}-{index}"
        self.index = index
        self.status: ItemStatus = "in_progress"
        self.texts: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def begin(self) -> Sequence[StreamEvent]:
        return (told.ItemAdded(output_index=self.index, item=self.item()), *self.opened())

    def grow(self, text: str) -> Sequence[StreamEvent]:
        self.texts.append(text)
        return self.grown(text)

    def end(self, status: ItemStatus) -> Sequence[StreamEvent]:
        closing = self.closed()
        self.status = status
        return (*closing, told.ItemDone(output_index=self.index, item=self.item()))

    def item(self) -> OutputItem:
        """As it is now."""
        raise NotImplementedError

    def parts(self) -> tuple[AnyPart, ...]:
        """What it is to a later turn."""
        raise NotImplementedError

    def opened(self) -> Sequence[StreamEvent]:
        return ()

    def grown(self, text: str) -> Sequence[StreamEvent]:  # noqa: ARG002 (for those that grow)
        return ()

    def closed(self) -> Sequence[StreamEvent]:
        return ()


class MessageDraft(Draft):
    """Text. Spoken words are text too: an answer has no other place for them."""

    prefix = "msg"

    def __init__(self, suffix: str, index: int, *, ends_early: bool) -> None:
        super().__init__(suffix, index)
        self.ends_early = ends_early
        self.citations: list[UrlCitation] = []

    def annotate(self, annotation: Raw) -> Sequence[StreamEvent]:
        """Citations of pages are the only annotations that the language shares with providers; what else they
        attach, such as the text of a file that was read, is for themselves."""
        citation = _citation(annotation)
        if citation is None:
            return ()
        self.citations.append(citation)
        event = told.AnnotationAdded(
            item_id=self.id,
            output_index=self.index,
            annotation_index=len(self.citations) - 1,
            annotation=citation,
        )
        return (event,)

    def item(self) -> MessageOutput:
        # An item that has just begun has no content yet; the part is told next.
        begun = self.texts or self.citations or self.status != "in_progress"
        return MessageOutput(id=self.id, status=self.status, content=(self._part(),) if begun else ())

    def parts(self) -> tuple[Text, ...]:
        return (Text(self.text),) if self.texts else ()

    def opened(self) -> Sequence[StreamEvent]:
        return (told.ContentPartAdded(item_id=self.id, output_index=self.index, part=OutputText(text="")),)

    def grown(self, text: str) -> Sequence[StreamEvent]:
        return (told.TextDelta(item_id=self.id, output_index=self.index, delta=text),)

    def closed(self) -> Sequence[StreamEvent]:
        return (
            told.TextDone(item_id=self.id, output_index=self.index, text=self.text),
            told.ContentPartDone(item_id=self.id, output_index=self.index, part=self._part()),
        )

    def _part(self) -> OutputText:
        return OutputText(text=self.text, annotations=tuple(self.citations))


class RefusalDraft(Draft):
    prefix = "msg"
    ends_early = True

    def item(self) -> MessageOutput:
        begun = self.texts or self.status != "in_progress"
        content = (OutputRefusal(refusal=self.text),) if begun else ()
        return MessageOutput(id=self.id, status=self.status, content=content)

    def parts(self) -> tuple[Refusal, ...]:
        return (Refusal(self.text),)

    def opened(self) -> Sequence[StreamEvent]:
        part = OutputRefusal(refusal="")
        return (told.ContentPartAdded(item_id=self.id, output_index=self.index, part=part),)

    def grown(self, text: str) -> Sequence[StreamEvent]:
        return (told.RefusalDelta(item_id=self.id, output_index=self.index, delta=text),)

    def closed(self) -> Sequence[StreamEvent]:
        part = OutputRefusal(refusal=self.text)
        return (
            told.RefusalDone(item_id=self.id, output_index=self.index, refusal=self.text),
            told.ContentPartDone(item_id=self.id, output_index=self.index, part=part),
        )


class CallDraft(Draft):
    """Arguments cannot go on in another item, so a call stays open until its provider ends it."""

    prefix = "fc"

    def __init__(self, suffix: str, index: int, call_id: str, name: str) -> None:
        super().__init__(suffix, index)
        self.call_id = call_id
        self._name = name

    def item(self) -> FunctionCallOutput:
        return FunctionCallOutput(
            id=self.id, status=self.status, call_id=self.call_id, name=self._name, arguments=self.text
        )

    def parts(self) -> tuple[ToolCall, ...]:
        """None if it broke off: nobody could answer it."""
        return () if self.status == "incomplete" else (self.call(),)

    def call(self) -> ToolCall:
        """As far as it came."""
        return ToolCall(self.call_id, self._name, self.text)

    def grown(self, text: str) -> Sequence[StreamEvent]:
        return (told.ArgumentsDelta(item_id=self.id, output_index=self.index, delta=text),)

    def closed(self) -> Sequence[StreamEvent]:
        done = told.ArgumentsDone(
            item_id=self.id, output_index=self.index, name=self._name, arguments=self.text
        )
        return (done,)


class ReasoningDraft(Draft):
    """Thinking in full. Where something else came in between, the thinking that goes on is another item to
    the caller; to its maker it stays one block, with one set of seals, in `origin`."""

    prefix = "rs"
    ends_early = True

    def __init__(
        self, suffix: str, index: int, seals: list[Seal], origin: "ReasoningDraft | None" = None
    ) -> None:
        super().__init__(suffix, index)
        self._seals = seals
        self._origin = origin
        self._whole: list[str] = [] if origin is None else origin._whole

    def grow(self, text: str) -> Sequence[StreamEvent]:
        self._whole.append(text)
        opening = self.opening() if not self.texts else ()
        return (*opening, *super().grow(text))

    def parts(self) -> tuple[Reasoning, ...]:
        """None if it broke off: a seal may be missing, and its maker would refuse it. None without a seal:
        what does not say whose it is would go to every provider."""
        if self._origin is not None or self.status == "incomplete" or not self._seals:
            return ()
        return (Reasoning("".join(self._whole) or None, tuple(self._seals)),)

    def item(self) -> OutputItem:
        content = (ReasoningText(text=self.text),) if self.texts else None
        return ReasoningOutput(id=self.id, status=self.status, content=content)

    def opening(self) -> Sequence[StreamEvent]:
        """What is told before the first words; there may never be any."""
        part = ReasoningText(text="")
        return (told.ContentPartAdded(item_id=self.id, output_index=self.index, part=part),)

    def grown(self, text: str) -> Sequence[StreamEvent]:
        return (told.ReasoningTextDelta(item_id=self.id, output_index=self.index, delta=text),)

    def closed(self) -> Sequence[StreamEvent]:
        if not self.texts:
            return ()
        part = ReasoningText(text=self.text)
        return (
            told.ReasoningTextDone(item_id=self.id, output_index=self.index, text=self.text),
            told.ContentPartDone(item_id=self.id, output_index=self.index, part=part),
        )


class SummaryDraft(ReasoningDraft):
    """Thinking of which the model shows a summary."""

    def item(self) -> OutputItem:
        summary = (SummaryText(text=self.text),) if self.texts else ()
        return ReasoningOutput(id=self.id, status=self.status, summary=summary)

    def opening(self) -> Sequence[StreamEvent]:
        part = SummaryText(text="")
        return (told.SummaryPartAdded(item_id=self.id, output_index=self.index, part=part),)

    def grown(self, text: str) -> Sequence[StreamEvent]:
        return (told.SummaryTextDelta(item_id=self.id, output_index=self.index, delta=text),)

    def closed(self) -> Sequence[StreamEvent]:
        if not self.texts:
            return ()
        part = SummaryText(text=self.text)
        return (
            told.SummaryTextDone(item_id=self.id, output_index=self.index, text=self.text),
            told.SummaryPartDone(item_id=self.id, output_index=self.index, part=part),
        )


class HiddenDraft(ReasoningDraft):
    """Thinking that the caller does not want to read. Its maker still gets it back."""

    ends_early = False
    shown = False

    def begin(self) -> Sequence[StreamEvent]:
        return ()

    def grow(self, text: str) -> Sequence[StreamEvent]:
        self._whole.append(text)
        return ()

    def end(self, status: ItemStatus) -> Sequence[StreamEvent]:
        self.status = status
        return ()


class ImageDraft(Draft):
    """An image, which is whole at once."""

    prefix = "ig"

    def __init__(self, suffix: str, index: int, url: str) -> None:
        super().__init__(suffix, index)
        self._url = url

    def item(self) -> ImageOutput:
        if self.status == "in_progress":
            return ImageOutput(id=self.id, status="in_progress", result=None)
        head, _, data = self._url.partition(";base64,")
        if not data:
            return ImageOutput(id=self.id, status="completed", result=self._url)
        match head.removeprefix("data:image/").partition("+")[0]:
            case "png" | "webp" | "jpeg" | "gif" | "svg" as known:
                return ImageOutput(id=self.id, status="completed", result=data, output_format=known)
            case _:
                return ImageOutput(id=self.id, status="completed", result=self._url)

    def parts(self) -> tuple[Image, ...]:
        return (Image(self._url),)

    def opened(self) -> Sequence[StreamEvent]:
        return (
            told.ImageInProgress(item_id=self.id, output_index=self.index),
            told.ImageGenerating(item_id=self.id, output_index=self.index),
        )

    def closed(self) -> Sequence[StreamEvent]:
        return (told.ImageCompleted(item_id=self.id, output_index=self.index),)


class SearchDraft(Draft):
    prefix = "ws"

    def __init__(self, suffix: str, index: int, cited: Sequence[str]) -> None:
        super().__init__(suffix, index)
        self._sources = tuple(SearchSource(url=url) for url in dict.fromkeys(cited))

    def item(self) -> WebSearchOutput:
        status: Any = "in_progress" if self.status == "in_progress" else "completed"
        return WebSearchOutput(id=self.id, status=status, action=SearchAction(sources=self._sources))

    def parts(self) -> tuple[AnyPart, ...]:
        return ()

    def opened(self) -> Sequence[StreamEvent]:
        return (
            told.SearchInProgress(item_id=self.id, output_index=self.index),
            told.SearchSearching(item_id=self.id, output_index=self.index),
        )

    def closed(self) -> Sequence[StreamEvent]:
        return (told.SearchCompleted(item_id=self.id, output_index=self.index),)


class _Cited(Struct, frozen=True):
    url: Any = None
    title: Any = None
    start_index: Any = None
    end_index: Any = None


class _Annotation(_Cited, frozen=True):
    """Flat, or nested in a field of its type's name."""

    type: Any = None
    url_citation: _Cited | None = None


_ANNOTATION = Decoder(_Annotation)


def _citation(annotation: Raw) -> UrlCitation | None:
    try:
        read = _ANNOTATION.decode(annotation)
    except DecodeError:
        return None
    cited = read.url_citation or read
    if read.type != "url_citation" or not isinstance(cited.url, str):
        return None
    return UrlCitation(
        url=cited.url,
        title=cited.title if isinstance(cited.title, str) else "",
        start_index=cited.start_index if isinstance(cited.start_index, int) else 0,
        end_index=cited.end_index if isinstance(cited.end_index, int) else 0,
    )
