"""Tools, the choice among them, and the search of the web."""

from typing import Any

from msgspec import Raw
from msgspec.json import decode

from quantized.core.request import GenerationRequest, Tool, WebSearch
from quantized.providers.anthropic.content import check_name
from quantized.providers.anthropic.models import Abilities
from quantized.providers.content import Block
from quantized.providers.refusal import unsupported
from quantized.providers.structured import closed

_SEARCH = "web_search"
_COMBINED = ("oneOf", "anyOf", "allOf")


def tools_of(request: GenerationRequest, model: Abilities, searches: int) -> list[Block]:
    """`searches`: the most that one request may make. Raises Refused."""
    tools = [_tool(tool, f"tools[{at}]", model) for at, tool in enumerate(request.tools or ())]
    if request.web_search is not None:
        if any(tool.name == _SEARCH for tool in request.tools or ()):
            raise unsupported("tools", f"'{_SEARCH}' is the name of its own web search; rename the function")
        tools.append(Block(_search(request.web_search, model, searches), "web_search_options"))
    return tools


def choice_of(request: GenerationRequest, model: Abilities) -> dict[str, Any] | None:
    """Raises Refused for a choice that the model does not take."""
    choice = request.tool_choice
    single = {"disable_parallel_tool_use": True} if request.parallel_tool_calls is False else {}
    if not request.tools and request.web_search is None:
        if choice is not None and choice.mode in {"required", "function"}:
            raise unsupported("tool_choice", "it demands a call, and there are no 'tools'; give some")
        return None
    if choice is None or choice.mode == "auto":
        return {"type": "auto", **single} if choice is not None or single else None
    if choice.mode == "none":
        if request.web_search is not None:
            raise unsupported(
                "tool_choice", "'none' forbids what 'web_search_options' asks for; leave one of them out"
            )
        return {"type": "none"}
    if not model.forced_tools:
        raise unsupported(
            "tool_choice",
            "this model cannot be made to call a tool; use 'auto', and ask for the call in words",
        )
    if choice.mode == "required":
        return {"type": "any", **single}
    if all(tool.name != choice.name for tool in request.tools or ()):
        raise unsupported("tool_choice", "it demands a function that is not among the 'tools'")
    return {"type": "tool", "name": choice.name, **single}


def _tool(tool: Tool, path: str, model: Abilities) -> Block:
    check_name(tool.name, f"{path}.function.name")
    body: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        body["description"] = tool.description
    schema = _schema(tool.parameters, f"{path}.function.parameters")
    if tool.strict:
        if not model.schemas:
            raise unsupported(f"{path}.function.strict", "this model has no strict tools; leave 'strict' out")
        schema = closed(schema, f"{path}.function.parameters")
        body["strict"] = True
    return Block({**body, "input_schema": schema}, path, tool.cache)


def _schema(raw: Raw | None, path: str) -> dict[str, Any]:
    """The API wants the schema of an object, whose type many leave unsaid."""
    schema: dict[str, Any] = {} if raw is None else decode(raw)
    if schema.get("type", "object") != "object" or any(word in schema for word in _COMBINED):
        raise unsupported(
            path, "it must be the schema of an object, with no 'oneOf', 'anyOf' or 'allOf' at its top"
        )
    if "type" not in schema:
        schema = {"type": "object", **schema}
    return schema if raw is not None else {**schema, "properties": {}}


def _search(wish: WebSearch, model: Abilities, searches: int) -> dict[str, Any]:
    if not model.web_search:
        raise unsupported("web_search_options", "this model cannot search the web; use a newer one")
    if wish.context_size not in {None, "medium"}:
        raise unsupported(
            "web_search_options.search_context_size",
            "how much of what is found is read cannot be chosen; leave it out",
        )
    body: dict[str, Any] = {"type": "web_search_20250305", "name": _SEARCH, "max_uses": searches}
    if wish.location is not None:
        told: dict[str, Any] = decode(wish.location)
        place = told.get("approximate", told)
        named = {name: value for name, value in place.items() if name != "type" and value is not None}
        body["user_location"] = {"type": "approximate", **named}
    return body
