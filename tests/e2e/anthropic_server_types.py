"""A request's shape, held against the official package's types with unknown fields refused."""

from collections.abc import Mapping
from functools import cache
from typing import Any, get_type_hints

from anthropic import types
from anthropic.types.beta import BetaThinkingConfigParam
from anthropic_server_faults import invalid
from pydantic import ConfigDict, TypeAdapter, ValidationError

_CLOSED = ConfigDict(extra="forbid")
_SAMPLING = ("temperature", "top_p", "top_k")
"""The package has no types for them any more; the API still takes them for models of before."""
_BLOCKS: dict[str, Any] = {
    "text": types.TextBlockParam,
    "image": types.ImageBlockParam,
    "document": types.DocumentBlockParam,
    "thinking": types.ThinkingBlockParam,
    "redacted_thinking": types.RedactedThinkingBlockParam,
    "tool_use": types.ToolUseBlockParam,
    "tool_result": types.ToolResultBlockParam,
    "server_tool_use": types.ServerToolUseBlockParam,
    "web_search_tool_result": types.WebSearchToolResultBlockParam,
}
_SOURCES: dict[tuple[str, str], Any] = {
    ("image", "base64"): types.Base64ImageSourceParam,
    ("image", "url"): types.URLImageSourceParam,
    ("document", "base64"): types.Base64PDFSourceParam,
    ("document", "url"): types.URLPDFSourceParam,
    ("document", "text"): types.PlainTextSourceParam,
}
_TOOLS = {"custom": types.ToolParam, "web_search_20250305": types.WebSearchTool20250305Param}
_IN_USER = {"text", "image", "document", "tool_result"}
_IN_ASSISTANT = _BLOCKS.keys() - {"image", "document", "tool_result"}
_IN_RESULT = {"text", "image", "document"}


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    # In a list, because a type of its own takes no configuration from outside.
    return TypeAdapter(list[kind], config=_CLOSED)


def check_types(body: dict[str, Any], *, binding: bool = True) -> None:
    """Raises ApiError as the API does. `binding`: the request may say what becomes of thoughts that are bound
    to another prompt, of which only the types of the betas know."""
    if binding and "thinking" in body:
        _fits(body["thinking"], BetaThinkingConfigParam, "thinking")
        kept = {name: value for name, value in body["thinking"].items() if name != "block_binding"}
        body = body | {"thinking": kept}
    for name in _SAMPLING:
        if name in body and (isinstance(body[name], bool) or not isinstance(body[name], int | float)):
            raise invalid(f"{name}: Input should be a valid number")
    for at, message in enumerate(body.get("messages", ())):
        allowed = _IN_USER if message["role"] == "user" else _IN_ASSISTANT
        if not isinstance(message["content"], str):
            _check_blocks(message["content"], f"messages.{at}.content", allowed)
    if not isinstance(body.get("system", ""), str):
        _check_blocks(body["system"], "system", {"text"})
    for at, tool in enumerate(body.get("tools", ())):
        kind = tool.get("type") or "custom"
        if kind not in _TOOLS:
            raise invalid(
                f"tools.{at}: Input tag '{kind}' found using 'type' does not match any of the expected tags"
            )
        _fits(tool, _TOOLS[kind], f"tools.{at}.{kind}")
    # Last, because of a block that fits none it would tell what the first of them wants.
    _fits(
        {name: value for name, value in body.items() if name not in _SAMPLING}, types.MessageCreateParams, ""
    )


def _check_blocks(blocks: list[dict[str, Any]], path: str, allowed: set[str]) -> None:
    for at, block in enumerate(blocks):
        kind, where = block.get("type", ""), f"{path}.{at}"
        if kind not in allowed:
            raise invalid(
                f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags"
            )
        _fits(block, _BLOCKS[kind], f"{where}.{kind}")
        if kind in ("image", "document"):
            source = block["source"]
            shape = _SOURCES.get((kind, source.get("type")))
            if shape is None:
                raise invalid(f"{where}.{kind}.source: Input tag '{source.get('type')}' does not match")
            # This type has a configuration of its own, which lets unknown fields in.
            if extra := source.keys() - get_type_hints(shape).keys():
                raise invalid(f"{where}.{kind}.source.{min(extra)}: Extra inputs are not permitted")
            _fits(source, shape, f"{where}.{kind}.source")
        if kind == "tool_result" and not isinstance(block.get("content", ""), str):
            _check_blocks(block["content"], f"{where}.tool_result.content", _IN_RESULT)


def _fits(value: Any, kind: Any, path: str) -> None:
    try:
        _drain(_adapter(kind).validate_python([value], strict=True))
    except ValidationError as error:
        first = error.errors()[0]
        where = [
            path,
            *(str(step) for step in first["loc"] if not str(step).startswith("MessageCreateParams")),
        ]
        raise invalid(f"{'.'.join(step for step in where if step)}: {first['msg']}") from None


def _drain(value: Any) -> None:
    """What the types call iterable is judged only as it is read."""
    if isinstance(value, Mapping):
        value = value.values()
    elif value is None or isinstance(value, str | bytes | int | float):
        return
    for item in value:
        _drain(item)
