"""A Responses body to what it asks for, with the checks that span several fields."""

from typing import NoReturn

import msgspec
from msgspec import Raw

from quantized.core.errors import InvalidValue, MissingField
from quantized.core.ids import canonical_response_id
from quantized.core.parts import Text, ToolCall
from quantized.core.request import (
    GenerationRequest,
    Message,
    ReasoningWish,
    Sampling,
    Tool,
    ToolChoice,
    WebSearch,
)
from quantized.core.turns import Needs
from quantized.surfaces.responses.asked import AskedItem, ResponsesAsked, merged
from quantized.surfaces.responses.history import given, read_input
from quantized.surfaces.responses.items import FunctionCallItem, ItemReference, ReasoningItem
from quantized.surfaces.responses.schema import (
    HINTS,
    Function,
    FunctionChoice,
    FunctionTool,
    ResponseRequest,
    Tools,
    WebSearchTool,
)
from quantized.wire.strict import StrictDecoder, require_object

_DECODER = StrictDecoder(ResponseRequest, HINTS)


def parse(body: bytes, depth: int) -> ResponsesAsked:
    """`depth` is the deepest nesting that is read. Raises InvalidRequest and its kinds."""
    written = _DECODER.decode(body)
    items = read_input(written.input, depth)
    functions = _functions(written.tools or (), depth)
    choice = _tool_choice(written, functions)
    instructions = (Message("system", (Text(written.instructions),)),) if written.instructions else ()
    messages = merged(tuple([item.message for item in items if item.message is not None]))
    request = GenerationRequest(
        model=written.model,
        messages=instructions + messages,
        max_output_tokens=written.max_output_tokens,
        sampling=Sampling(
            temperature=written.temperature,
            top_p=written.top_p,
            frequency_penalty=written.frequency_penalty,
            presence_penalty=written.presence_penalty,
        ),
        tools=functions or None,
        # Both are about functions: without any there is nothing that they could change.
        tool_choice=choice if functions else None,
        parallel_tool_calls=written.parallel_tool_calls if functions else None,
        reasoning=_reasoning(written),
        web_search=_web_search(written.tools or (), choice),
        stream=written.stream is True,
    )
    return ResponsesAsked(request, _needs(written, items), items, instructions, written)


def _refuse(path: str, why: str) -> NoReturn:
    raise InvalidValue(f"Invalid value for '{path}': {why}", param=path, code="invalid_value")


def _needs(written: ResponseRequest, items: tuple[AskedItem, ...]) -> Needs:
    previous = written.previous_response_id
    named: dict[str, None] = {}
    calls: dict[ToolCall, None] = {}
    for asked in items:
        match asked.item:
            case ItemReference(item_id):
                named[item_id] = None
            case ReasoningItem(_, str(item_id)):
                named[item_id] = None
            case FunctionCallItem(_, call_id, name, arguments):
                calls[ToolCall(call_id, name, arguments)] = None
    return Needs(None if previous is None else canonical_response_id(previous), tuple(named), tuple(calls))


def _functions(tools: tuple[Tools, ...], depth: int) -> tuple[Tool, ...]:
    found: dict[str, Tool] = {}
    for at, tool in enumerate(tools):
        if isinstance(tool, FunctionTool):
            function, path = _described(tool, f"tools[{at}]")
            if function.name in found:
                _refuse(f"{path}.name", f"an earlier tool is named '{function.name}' too.")
            found[function.name] = Tool(
                name=function.name,
                description=function.description,
                parameters=_schema(function.parameters, f"{path}.parameters", depth),
                strict=function.strict,
            )
    return tuple(found.values())


def _described(tool: FunctionTool, path: str) -> tuple[Function, str]:
    """The function, and where it is described: flat or nested."""
    if tool.function is not None:
        if tool.name is not None or tool.description is not None or tool.strict is not None:
            _refuse(f"{path}.function", "the function is described beside it already. Give one of the two.")
        if given(tool.parameters):
            _refuse(f"{path}.function", "'parameters' stand beside it already. Give one of the two.")
        return tool.function, f"{path}.function"
    if tool.name is None:
        raise MissingField(
            f"Missing required field '{path}.name': expected the name of the function.",
            param=f"{path}.name",
            code="missing_required_parameter",
        )
    return Function(tool.name, tool.description, tool.parameters, tool.strict), path


def _schema(raw: Raw, path: str, depth: int) -> Raw | None:
    if not given(raw):
        return None
    require_object(raw, path, depth)
    return raw


def _tool_choice(written: ResponseRequest, functions: tuple[Tool, ...]) -> ToolChoice | None:
    choice = written.tool_choice
    if choice is None:
        return None
    if not isinstance(choice, FunctionChoice):
        if choice == "required" and not functions:
            _refuse("tool_choice", "it needs a function among 'tools'.")
        return ToolChoice(choice)
    if (choice.name is None) == (choice.function is None):
        _refuse("tool_choice.name", "give the function's name, here or inside 'function'.")
    name, path = choice.name or "", "tool_choice.name"
    if choice.function is not None:
        name, path = choice.function.name, "tool_choice.function.name"
    if name not in {tool.name for tool in functions}:
        _refuse(path, f"no tool is named '{name[:64]}'.")
    return ToolChoice("function", name)


def _reasoning(written: ResponseRequest) -> ReasoningWish | None:
    """Without `exclude`: a provider that knew of it might keep what has to go back to it in the next turn. So
    it is we who do not show its thoughts."""
    effort = None if written.reasoning is None else written.reasoning.effort
    return None if effort is None else ReasoningWish(effort)


def _web_search(tools: tuple[Tools, ...], choice: ToolChoice | None) -> WebSearch | None:
    wanted = [(at, tool) for at, tool in enumerate(tools) if isinstance(tool, WebSearchTool)]
    if len(wanted) > 1:
        _refuse(f"tools[{wanted[1][0]}].type", "an earlier tool is a web search too.")
    if not wanted or (choice is not None and choice.mode == "none"):
        return None
    tool = wanted[0][1]
    place = tool.user_location
    if place is None:
        return WebSearch(tool.search_context_size)
    told = {
        name: value for name in place.__struct_fields__[1:] if (value := getattr(place, name)) is not None
    }
    location = msgspec.json.encode({"type": "approximate", "approximate": told})
    return WebSearch(tool.search_context_size, Raw(location))
