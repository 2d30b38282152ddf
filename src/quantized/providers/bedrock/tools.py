"""Tools and the choice among them.

Converse wants to be told of tools whenever the history holds calls or results, and has no choice `none`.
Where no call is to be made, it is told of those tools alone that the history names, as ones that may not be
called any more; without such a history it is told of none. No model is bound by that, so an answer that holds
a call all the same is not passed on (`uncalled`).
"""

from collections.abc import Collection
from typing import Any

from msgspec import Raw, Struct
from msgspec.json import decode

from quantized.core.parts import ToolCall, ToolResult
from quantized.core.request import GenerationRequest, Tool
from quantized.providers.bedrock.content import check_tool_name
from quantized.providers.bedrock.families import Family
from quantized.providers.content import Block
from quantized.providers.refusal import unsupported
from quantized.providers.structured import closed

_OVER = "Was used earlier in this conversation. It is not available any more and must not be called."
_ANYTHING = {"type": "object", "properties": {}, "additionalProperties": True}


class Choice(Struct, frozen=True):
    """`tool_choice` as Converse is told it, and as the model itself is, for what Converse cannot say."""

    converse: dict[str, Any] | None = None
    own: dict[str, Any] | None = None
    forces: bool = False


def may_call(request: GenerationRequest) -> bool:
    """Whether the caller allows calls at all."""
    return bool(request.tools) and (request.tool_choice is None or request.tool_choice.mode != "none")


def tells_of_past_tools(request: GenerationRequest) -> bool:
    """Whether a model is told of tools although the caller allows no calls."""
    return not may_call(request) and any(
        isinstance(part, ToolCall | ToolResult) for message in request.messages for part in message.parts
    )


def tells_of_tools(request: GenerationRequest) -> bool:
    """Whether a model is told of tools at all."""
    return may_call(request) or tells_of_past_tools(request)


def tools_of(request: GenerationRequest, family: Family) -> list[Block]:
    """Raises Refused."""
    used = () if may_call(request) else _used(request)
    if not family.tools and (used or may_call(request)):
        where = "tools" if request.tools else "messages"
        raise unsupported(where, "this model calls no tools; leave them out, or use another")
    if not may_call(request):
        return [_past(name) for name in used]
    return [_tool(tool, f"tools[{at}]", family) for at, tool in enumerate(request.tools or ())]


def choice_of(request: GenerationRequest, family: Family) -> Choice:
    """Raises Refused for a choice that the model does not take."""
    choice = request.tool_choice
    mode = "auto" if choice is None else choice.mode
    if not request.tools:
        if mode in {"required", "function"}:
            raise unsupported("tool_choice", "it demands a call, and there are no 'tools'; give some")
        return Choice()
    if mode == "none":
        return Choice()
    name = None if choice is None else choice.name
    single = request.parallel_tool_calls is False
    if single and not family.one_call:
        raise unsupported(
            "parallel_tool_calls", "this model cannot be kept from making several calls; leave it out"
        )
    wanted = _forced(mode, name, request, family)
    if single:
        own = {"type": wanted, "disable_parallel_tool_use": True}
        return Choice(own=own if wanted != "tool" else {**own, "name": name}, forces=wanted != "auto")
    if wanted == "auto":
        return Choice()
    return Choice({"any": {}} if wanted == "any" else {"tool": {"name": name}}, forces=True)


def _forced(mode: str, name: str | None, request: GenerationRequest, family: Family) -> str:
    if mode == "auto":
        return "auto"
    if mode == "function" and "tool" in family.forced:
        return "tool"
    # To demand a call is to demand this one, where there is no other.
    only = request.tools is not None and [tool.name for tool in request.tools] == [name]
    if "any" in family.forced and (mode == "required" or only):
        return "any"
    wanted = "this one call" if family.forced and mode == "function" else "a call"
    raise unsupported("tool_choice", f"this model cannot be made to make {wanted}; use 'auto'")


def _tool(tool: Tool, path: str, family: Family) -> Block:
    check_tool_name(tool.name, f"{path}.function.name")
    where = f"{path}.function.parameters"
    schema = _schema(tool.parameters, where)
    spec: dict[str, Any] = {"name": tool.name}
    if tool.description is not None and tool.description.strip():
        spec["description"] = tool.description
    if tool.strict:
        if not family.schemas:
            raise unsupported(f"{path}.function.strict", "this model has no strict tools; leave 'strict' out")
        schema = closed(schema, where)
        spec["strict"] = True
    spec["inputSchema"] = {"json": schema}
    return Block({"toolSpec": spec}, path, tool.cache)


def _schema(raw: Raw | None, path: str) -> dict[str, Any]:
    """Converse wants the schema of an object, whose type many leave unsaid."""
    schema: dict[str, Any] = {} if raw is None else decode(raw)
    if schema.get("type", "object") != "object":
        raise unsupported(path, "it must be the schema of an object")
    if "type" not in schema:
        schema = {"type": "object", **schema}
    return schema if raw is not None else {**schema, "properties": {}}


def _used(request: GenerationRequest) -> Collection[str]:
    """The names of the tools that the history calls, in order, each once."""
    return dict.fromkeys(
        part.name for message in request.messages for part in message.parts if isinstance(part, ToolCall)
    )


def _past(name: str) -> Block:
    spec = {"name": name, "description": _OVER, "inputSchema": {"json": _ANYTHING}}
    return Block({"toolSpec": spec}, "messages")
