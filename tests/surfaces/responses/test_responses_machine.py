"""Any legal answer, however its parts are mixed: a legal stream, one response, and nothing lost."""

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw
from responses_laws import check_whole
from responses_samples import (
    BILL,
    CITATION,
    ENCRYPTED,
    IDENTITY,
    SIGNED,
    STARTED,
    SUMMARY,
    SURFACE,
    Frames,
    conversation,
)

from quantized.core.errors import ProviderUnavailable
from quantized.core.events import (
    Annotated,
    ArgumentsDelta,
    AudioDelta,
    Event,
    Finished,
    LogprobsDelta,
    PartFinished,
    PartKind,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    Sealed,
    TextDelta,
)
from quantized.core.fold import Answer, fold
from quantized.core.parts import OutputAudio, OutputText, Reasoning, Refusal, Seal, Text, ToolCall

KINDS: list[PartKind] = ["text", "reasoning", "refusal", "tool_call", "image", "audio"]
SEALS = [SIGNED, SUMMARY, ENCRYPTED, b"not for us"]
PIECES = st.text("ab{}é🥐", min_size=1, max_size=3)


@st.composite
def streams(draw: st.DrawFn) -> list[Event]:
    """Parts that begin in order, grow in any order while they are open, and end in any order."""
    said: list[Event] = []
    open_parts: dict[int, PartKind] = {}
    begun = 0
    for _ in range(draw(st.integers(0, 25))):
        move = draw(st.sampled_from(["begin", "grow", "grow", "grow", "end"]))
        if move == "begin" or not open_parts:
            kind = draw(st.sampled_from(KINDS))
            said.append(begin(begun, kind))
            open_parts[begun] = kind
            begun += 1
            continue
        index = draw(st.sampled_from(sorted(open_parts)))
        if move == "end":
            del open_parts[index]
            said.append(PartFinished(index))
        else:
            said.extend(draw(pieces(index, open_parts[index])))
    return [*said, *[PartFinished(index) for index in draw(st.permutations(sorted(open_parts)))]]


def begin(index: int, kind: PartKind) -> PartStarted:
    match kind:
        case "tool_call":
            return PartStarted(index, kind, id=f"call_{index}", name="f")
        case "image":
            return PartStarted(index, kind, url="data:image/png;base64,AA==")
        case _:
            return PartStarted(index, kind)


@st.composite
def pieces(draw: st.DrawFn, index: int, kind: PartKind) -> list[Event]:
    piece = draw(PIECES)
    match kind:
        case "text" if draw(st.integers(0, 4)) == 0:
            return [Annotated(index, Raw(CITATION)), LogprobsDelta()]
        case "text":
            return [TextDelta(index, piece)]
        case "reasoning" if draw(st.booleans()):
            return [Sealed(index, Seal("p", "reasoning_details", draw(st.sampled_from(SEALS))))]
        case "reasoning":
            return [ReasoningDelta(index, piece)]
        case "refusal":
            return [RefusalDelta(index, piece)]
        case "tool_call":
            return [ArgumentsDelta(index, piece)]
        case "audio":
            return [AudioDelta(index, transcript=piece)]
        case "image":
            return []


def said_in(answer: Answer) -> dict[str, str]:
    """The letters of the answer, kind by kind; parts that come mixed mix them."""
    said = dict.fromkeys(("output_text", "refusal", "reasoning", "function_call_arguments"), "")
    for part in answer.parts:
        match part:
            case OutputText(text) | OutputAudio(transcript=text):
                said["output_text"] += text
            case Refusal(text):
                said["refusal"] += text
            case Reasoning(text):
                said["reasoning"] += text or ""
            case ToolCall(arguments=arguments):
                said["function_call_arguments"] += arguments
    return {kind: "".join(sorted(letters)) for kind, letters in said.items()}


def told_in(payloads: Frames) -> dict[str, str]:
    """The letters of the deltas."""
    told = dict.fromkeys(("output_text", "refusal", "reasoning", "function_call_arguments"), "")
    for payload in payloads:
        if payload["type"].endswith(".delta"):
            kind = payload["type"].split(".")[1]
            told["reasoning" if kind.startswith("reasoning") else kind] += payload["delta"]
    return {kind: "".join(sorted(letters)) for kind, letters in told.items()}


@settings(max_examples=60, deadline=None)
@given(
    events=streams(),
    search=st.booleans(),
    exclude=st.booleans(),
    reason=st.sampled_from(["stop", "length", None]),
)
def test_any_answer(events, search, exclude, reason):
    fields = {"tools": [{"type": "web_search"}]} if search else {}
    renderer = SURFACE.renderer(conversation(reasoning={"exclude": exclude}, **fields), IDENTITY)
    said = b"".join([renderer.feed(event) for event in [STARTED, *events]])
    cut = ProviderUnavailable(cause="cut")
    turn = renderer.turn(reason or cut, None)
    payloads = check_whole(said + (renderer.finish(reason, BILL) if reason else renderer.fail(cut, None)))

    answer = fold([STARTED, *events, Finished("stop", None)])
    expected = said_in(answer)
    assert told_in(payloads) == {**expected, "reasoning": "" if exclude else expected["reasoning"]}
    kept = [part for message in turn.messages[1:] for part in message.parts]
    if reason == "stop":
        # Each thought goes back whole, with all its seals and in its place, and so does each call.
        for kind in (Reasoning, ToolCall):
            wanted = [part for part in answer.parts if isinstance(part, kind)]
            # But for thoughts that bear no seal.
            wanted = [part for part in wanted if not isinstance(part, Reasoning) or part.seals]
            assert [part for part in kept if isinstance(part, kind)] == wanted
    texts = "".join([part.text for part in kept if isinstance(part, Text)])
    assert "".join(sorted(texts)) == expected["output_text"]
