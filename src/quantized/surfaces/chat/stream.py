"""Events to chat completions chunks, as server-sent events.

Where the gateway relays the provider's own frames, they are `seen`, and of them only `Started`, `PartStarted`
and `PartFinished`; frames that cannot be relayed are fed and rendered, among the others. So nothing here
depends on having seen the deltas that came before, but for the places of citations in a text of several
parts; no language that is relayed has those.
"""

from msgspec import UNSET, Raw
from msgspec.json import Encoder

from quantized.core import events
from quantized.core.errors import Fault
from quantized.core.events import Event, FinishReason
from quantized.core.request import GenerationRequest
from quantized.core.usage import Bill
from quantized.core.usage import Usage as Used
from quantized.surfaces.chat.answers import (
    AudioDelta,
    ChatCompletionChunk,
    ChunkChoice,
    Delta,
    FunctionDelta,
    GeneratedImage,
    GeneratedImageUrl,
    ToolCallDelta,
    Usage,
    usage_of,
)
from quantized.surfaces.chat.errors import error_body
from quantized.surfaces.chat.render import logprobs_of, reasoning_blocks, shifted, shows_reasoning

_ENCODER = Encoder()
_DONE = b"data: [DONE]\n\n"
_PartDelta = (
    events.TextDelta
    | events.ArgumentsDelta
    | events.ReasoningDelta
    | events.RefusalDelta
    | events.Sealed
    | events.AudioDelta
    | events.Annotated
)


class ChatRenderer:
    def __init__(self, request: GenerationRequest) -> None:
        self._shows_reasoning = shows_reasoning(request)
        self._started: events.Started | None = None
        self._calls: dict[int, int] = {}
        self._images = 0
        self._audio_id_told = False
        self._audio_expiry_told = False
        self._annotations: list[Raw] = []
        self._said = 0
        self._said_before: dict[int, int] = {}

    def feed(self, event: Event) -> bytes:
        match event:
            case events.PartFinished():
                return b""
            case events.Started():
                self._started = event
                return self._delta(Delta(role="assistant"))
            case events.PartStarted():
                delta = self._begin(event)
            case events.LogprobsDelta(content, refusal):
                return self._chunk(ChunkChoice(delta=Delta(), logprobs=logprobs_of(content, refusal)))
            case events.Finished() | events.Failed():
                raise ValueError("the terminal event is told by finish and fail")
            case _:
                delta = self._piece(event)
        return b"" if delta is None else self._delta(delta)

    def relay(self, payload: bytes) -> bytes:
        return b"data: " + payload + b"\n\n"

    def seen(self, event: Event) -> None:
        match event:
            case events.Started():
                self._started = event
            case events.PartStarted():
                self._begin(event)

    def turn(self, ending: FinishReason | Fault, usage: Used) -> None:
        """Chat completions keep nothing."""

    def finish(self, reason: FinishReason, bill: Bill) -> bytes:
        owed = b""
        if self._annotations:
            owed = self._delta(Delta(annotations=self._annotations))
        return b"".join(
            (
                owed,
                self._chunk(ChunkChoice(delta=Delta(), finish_reason=reason)),
                self._frame([], usage_of(bill)),
                _DONE,
            )
        )

    def fail(self, fault: Fault, bill: Bill | None) -> bytes:
        """One error chunk and no end mark, so that nobody takes it for the end of an answer."""
        return b"data: " + error_body(fault, bill) + b"\n\n"

    def _begin(self, start: events.PartStarted) -> Delta | None:
        delta = None
        match start.kind:
            case "text":
                self._said_before[start.index] = self._said
                # So that a text of no words is an empty text and not none.
                delta = Delta(content="")
            case "refusal":
                delta = Delta(refusal="")
            case "tool_call":
                position = self._calls[start.index] = len(self._calls)
                function = FunctionDelta(name=start.name or "", arguments="")
                delta = Delta(
                    tool_calls=[
                        ToolCallDelta(index=position, id=start.id or "", type="function", function=function)
                    ]
                )
            case "image":
                image = GeneratedImage(image_url=GeneratedImageUrl(start.url or ""), index=self._images)
                self._images += 1
                delta = Delta(images=[image])
            case "reasoning" | "audio":
                pass
        return delta

    def _piece(self, event: _PartDelta) -> Delta | None:
        delta = None
        match event:
            case events.TextDelta(_, text):
                self._said += len(text)
                delta = Delta(content=text)
            case events.ArgumentsDelta(index, text):
                delta = Delta(
                    tool_calls=[
                        ToolCallDelta(index=self._calls[index], function=FunctionDelta(arguments=text))
                    ]
                )
            case events.ReasoningDelta(_, text):
                delta = Delta(reasoning=text) if self._shows_reasoning else None
            case events.RefusalDelta(_, text):
                delta = Delta(refusal=text)
            case events.Sealed(_, seal):
                blocks = reasoning_blocks((seal,), shows_reasoning=self._shows_reasoning)
                delta = Delta(reasoning_details=blocks) if blocks else None
            case events.AudioDelta():
                delta = Delta(audio=self._audio(event))
            case events.Annotated(index, annotation):
                # Citations have no index to add them up by, so they go out together, in one chunk.
                self._annotations.append(shifted(annotation, self._said_before[index]))
        return delta

    def _audio(self, piece: events.AudioDelta) -> AudioDelta:
        """Clients add up what they read, so the id and the expiry are told once."""
        tells_id = piece.id is not None and not self._audio_id_told
        tells_expiry = piece.expires_at is not None and not self._audio_expiry_told
        self._audio_id_told |= tells_id
        self._audio_expiry_told |= tells_expiry
        return AudioDelta(
            id=piece.id if tells_id and piece.id is not None else UNSET,
            data=piece.data or UNSET,
            transcript=piece.transcript or UNSET,
            expires_at=piece.expires_at if tells_expiry and piece.expires_at is not None else UNSET,
        )

    def _delta(self, delta: Delta) -> bytes:
        return self._chunk(ChunkChoice(delta=delta))

    def _chunk(self, choice: ChunkChoice) -> bytes:
        return self._frame([choice], None)

    def _frame(self, choices: list[ChunkChoice], usage: Usage | None) -> bytes:
        started = self._started
        if started is None:
            raise ValueError("an answer cannot be told before it started")
        chunk = ChatCompletionChunk(
            id=started.id,
            model=started.model,
            choices=choices,
            created=started.created,
            system_fingerprint=started.fingerprint,
            usage=UNSET if usage is None else usage,
        )
        return b"data: " + _ENCODER.encode(chunk) + b"\n\n"
