"""A whole answer and its bill to the JSON body that a caller reads."""

from typing import Any

from msgspec import UNSET, DecodeError, Raw, Struct, UnsetType
from msgspec.json import Decoder, Encoder, decode

from quantized.core import parts
from quantized.core.fold import Answer
from quantized.core.request import GenerationRequest
from quantized.core.usage import Bill
from quantized.surfaces.chat.answers import (
    Audio,
    ChatCompletion,
    Choice,
    FunctionCall,
    GeneratedImage,
    GeneratedImageUrl,
    Logprobs,
    Message,
    ToolCall,
    usage_of,
)
from quantized.surfaces.chat.history import MESSAGE_DETAILS, REASONING_DETAILS


class _Annotation(Struct, frozen=True):
    url_citation: dict[str, Any] | None = None


_ENCODER = Encoder()
_BLOCKS = Decoder(list[Raw])
_ANNOTATION = Decoder(_Annotation)


def render(request: GenerationRequest, answer: Answer, bill: Bill) -> bytes:
    choice = Choice(
        index=0,
        message=_message(answer, shows_reasoning=shows_reasoning(request)),
        finish_reason=answer.finish,
        logprobs=logprobs_of(answer.logprobs_content, answer.logprobs_refusal),
    )
    return _ENCODER.encode(
        ChatCompletion(
            id=answer.id,
            model=answer.model,
            choices=[choice],
            usage=usage_of(bill),
            created=answer.created,
            system_fingerprint=answer.fingerprint,
        )
    )


def shows_reasoning(request: GenerationRequest) -> bool:
    """Whether the caller wants to read the reasoning; blocks that repeat it go the same way."""
    return request.reasoning is None or request.reasoning.exclude is not True


def reasoning_blocks(seals: tuple[parts.Seal, ...], *, shows_reasoning: bool) -> list[Raw]:
    """The blocks that go to a caller and come back from it. Seals of other kinds stay with the gateway."""
    kinds = {REASONING_DETAILS, MESSAGE_DETAILS} if shows_reasoning else {MESSAGE_DETAILS}
    blocks: list[Raw] = []
    for seal in seals:
        if seal.kind in kinds:
            if seal.payload.startswith(b"["):
                blocks.extend(_BLOCKS.decode(seal.payload))
            else:
                blocks.append(Raw(seal.payload))
    return blocks


def shifted(annotation: Raw, by: int) -> Raw:
    """A citation counts within its part; a message is one text. So it moves by what the message said before
    the part, in code points."""
    if not by:
        return annotation
    try:
        cited = _ANNOTATION.decode(annotation).url_citation
    except DecodeError:
        return annotation
    if cited is None:
        return annotation
    places = {
        name: cited[name] + by for name in ("start_index", "end_index") if isinstance(cited.get(name), int)
    }
    whole: dict[str, Any] = decode(annotation)
    return Raw(_ENCODER.encode({**whole, "url_citation": {**cited, **places}}))


def logprobs_of(content: tuple[Raw, ...], refusal: tuple[Raw, ...]) -> Logprobs | None:
    if not content and not refusal:
        return None
    return Logprobs(list(content) or None, list(refusal) or None)


def _message(answer: Answer, *, shows_reasoning: bool) -> Message:
    """The parts of a kind run together in their order: the language has one field for each kind."""
    match answer.parts:
        case (parts.OutputText(text, ()),):
            # Nearly every answer is nothing but one text.
            return Message(content=text, refusal=None, reasoning=None)
    texts: list[str] = []
    said = 0
    annotations: list[Raw] = []
    refusals: list[str] = []
    thoughts: list[str] = []
    seals: list[parts.Seal] = []
    calls: list[ToolCall] = []
    images: list[GeneratedImage] = []
    spoken: list[parts.OutputAudio] = []
    for part in answer.parts:
        match part:
            case parts.OutputText(text, noted):
                annotations.extend([shifted(annotation, said) for annotation in noted])
                texts.append(text)
                said += len(text)
            case parts.ToolCall(call_id, name, arguments):
                calls.append(ToolCall(id=call_id, function=FunctionCall(name, arguments)))
            case parts.Reasoning(thought, sealed):
                seals.extend(sealed)
                if shows_reasoning:
                    thoughts.append(thought or "")
            case parts.Refusal(text):
                refusals.append(text)
            case parts.OutputImage(url):
                images.append(GeneratedImage(image_url=GeneratedImageUrl(url), index=len(images)))
            case parts.OutputAudio():
                spoken.append(part)
    return Message(
        content="".join(texts) if texts else None,
        refusal="".join(refusals) if refusals else None,
        reasoning="".join(thoughts) or None,
        reasoning_details=reasoning_blocks(tuple(seals), shows_reasoning=shows_reasoning) or UNSET,
        tool_calls=calls or UNSET,
        annotations=annotations or UNSET,
        images=images or UNSET,
        audio=_audio(spoken),
    )


def _audio(spoken: list[parts.OutputAudio]) -> Audio | UnsetType:
    if not spoken:
        return UNSET
    return Audio(
        id=next((one.id for one in spoken if one.id), ""),
        data="".join([one.data for one in spoken]),
        transcript="".join([one.transcript for one in spoken]),
        expires_at=next((one.expires_at for one in spoken if one.expires_at is not None), 0),
    )
