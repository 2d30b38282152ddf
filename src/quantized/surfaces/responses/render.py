"""One response, from the conversation it answers to the turn that is stored and the JSON that is read."""

from typing import Literal

from msgspec import UNSET, Raw, Struct

from quantized.core.errors import Fault
from quantized.core.events import FinishReason
from quantized.core.fold import Answer
from quantized.core.parts import Reasoning
from quantized.core.request import Message, Tool
from quantized.core.turns import StoredItem, Turn, TurnStatus
from quantized.core.usage import Bill
from quantized.surfaces.responses.answers import (
    IncompleteDetails,
    ResponseBody,
    ResponseError,
    Status,
    ToldChoice,
    ToldDatedPreview,
    ToldDatedSearch,
    ToldFunction,
    ToldPlace,
    ToldPreview,
    ToldReasoning,
    ToldSearch,
    ToldTool,
    encode,
    whole,
)
from quantized.surfaces.responses.builder import Builder, output_of, replay
from quantized.surfaces.responses.compose import Conversation
from quantized.surfaces.responses.drafts import CallDraft, Draft
from quantized.surfaces.responses.errors import failure_code, told
from quantized.surfaces.responses.listing import stored_input
from quantized.surfaces.responses.schema import (
    DatedWebSearchPreviewTool,
    DatedWebSearchTool,
    FunctionChoice,
    FunctionTool,
    ResponseRequest,
    WebSearchPreviewTool,
    WebSearchTool,
)

_REASONS: dict[FinishReason, IncompleteDetails] = {
    "length": IncompleteDetails("max_output_tokens"),
    "content_filter": IncompleteDetails("content_filter"),
}

_SEARCHES: dict[type[WebSearchTool], type[ToldSearch]] = {
    WebSearchTool: ToldSearch,
    DatedWebSearchTool: ToldDatedSearch,
    WebSearchPreviewTool: ToldPreview,
    DatedWebSearchPreviewTool: ToldDatedPreview,
}


class Identity(Struct, frozen=True):
    """Of one response: its id (`resp-` and what makes it unique), when it was created (Unix seconds), and
    whether it will be stored."""

    id: str
    created_at: int
    stored: bool = True

    @property
    def suffix(self) -> str:
        """What the ids of its items share with it."""
        return self.id.removeprefix("resp-")


def body_of(
    conversation: Conversation,
    identity: Identity,
    model: str,
    status: Status,
    ending: FinishReason | Fault | None,
) -> bytes:
    """The response object without its `output` and `usage`. `model` is the one that answered."""
    asked = conversation.asked
    written = asked.written
    reasoning = written.reasoning
    error = ResponseError(failure_code(ending), told(ending).message) if isinstance(ending, Fault) else None
    return encode(
        ResponseBody(
            id=identity.id,
            created_at=identity.created_at,
            status=status,
            error=error,
            incomplete_details=_REASONS.get(ending) if isinstance(ending, str) else None,
            instructions=written.instructions,
            max_output_tokens=written.max_output_tokens,
            model=model,
            parallel_tool_calls=written.parallel_tool_calls is not False,
            previous_response_id=asked.needs.previous,
            reasoning=ToldReasoning()
            if reasoning is None
            else ToldReasoning(
                effort=reasoning.effort, exclude=UNSET if reasoning.exclude is None else reasoning.exclude
            ),
            store=identity.stored,
            temperature=written.temperature,
            tool_choice=_told_choice(written),
            tools=_told_tools(written, asked.request.tools or ()),
            top_p=written.top_p,
            frequency_penalty=written.frequency_penalty,
            presence_penalty=written.presence_penalty,
        )
    )


def builder_of(conversation: Conversation, identity: Identity) -> Builder:
    reasoning = conversation.asked.written.reasoning
    excluded = reasoning is not None and reasoning.exclude is True
    searches = conversation.request.web_search is not None
    return Builder(identity.suffix, shows_reasoning=not excluded, searches=searches)


def turn_of(
    conversation: Conversation,
    identity: Identity,
    model: str,
    drafts: list[Draft],
    ending: FinishReason | Fault,
) -> Turn:
    """What is stored of a response that has ended, well or not. `drafts` are closed."""
    status = status_of(ending)
    output = output_of(drafts)
    answer = (Message("assistant", output.parts),) if output.parts else ()
    return Turn(
        id=identity.id,
        previous=conversation.asked.needs.previous,
        status=status,
        body=Raw(body_of(conversation, identity, model, status, ending)),
        input=stored_input(conversation.items, identity.suffix),
        output=tuple([_stored(draft) for draft in drafts if draft.shown]),
        messages=_sealed_only(conversation.own) + answer,
        thoughts=output.thoughts,
        calls=output.calls,
    )


def answered(conversation: Conversation, identity: Identity, answer: Answer, searches: int) -> Turn:
    """The turn of an answer that came whole; `searches` is the number of web searches that were made."""
    builder = builder_of(conversation, identity)
    for event in replay(answer):
        builder.feed(event)
    builder.close(well=answer.finish not in _REASONS, searches=searches)
    return turn_of(conversation, identity, answer.model, builder.drafts, answer.finish)


def render(turn: Turn, bill: Bill | None) -> bytes:
    """The response object: the body of an unstreamed answer, the `response` of a terminal event, and what is
    read back later. `bill` is None where nothing was charged."""
    return whole(bytes(turn.body), [item.json for item in turn.output], bill)


def status_of(ending: FinishReason | Fault) -> TurnStatus:
    if isinstance(ending, Fault):
        return "failed"
    return "incomplete" if ending in _REASONS else "completed"


def _sealed_only(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Without the thoughts that bear no seal: a later turn may go to another provider than this one."""
    kept: list[Message] = []
    for message in messages:
        parts = tuple([part for part in message.parts if not isinstance(part, Reasoning) or part.seals])
        if parts or not message.parts:
            kept.append(Message(message.role, parts, message.name))
    return tuple(kept)


def _stored(draft: Draft) -> StoredItem:
    parts = draft.parts()
    return StoredItem(
        id=draft.id,
        json=Raw(encode(draft.item())),
        messages=(Message("assistant", parts),) if parts else (),
        call_id=draft.call_id if isinstance(draft, CallDraft) and parts else None,
    )


def _told_choice(written: ResponseRequest) -> Literal["auto", "none", "required"] | ToldChoice:
    choice = written.tool_choice
    if not isinstance(choice, FunctionChoice):
        return choice or "auto"
    return ToldChoice(name=choice.name or (choice.function.name if choice.function else ""))


def _told_tools(written: ResponseRequest, functions: tuple[Tool, ...]) -> tuple[ToldTool, ...]:
    """As they were asked for, each function flat."""
    rest = iter(functions)
    told: list[ToldTool] = []
    for tool in written.tools or ():
        match tool:
            case WebSearchTool():
                told.append(_told_search(tool))
            case FunctionTool():
                function = next(rest)
                told.append(
                    ToldFunction(
                        name=function.name,
                        description=function.description,
                        parameters=function.parameters,
                        strict=function.strict,
                    )
                )
    return tuple(told)


def _told_search(tool: WebSearchTool) -> ToldTool:
    place = tool.user_location
    return _SEARCHES[type(tool)](
        search_context_size=tool.search_context_size,
        user_location=None
        if place is None
        else ToldPlace(city=place.city, country=place.country, region=place.region, timezone=place.timezone),
    )
