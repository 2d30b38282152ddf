"""The rules of the Messages API that its types do not tell, as strictly as the API has them, in its words."""

import base64
import binascii
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from anthropic_server_faults import ApiError, invalid
from anthropic_server_models import ADAPTIVE, BUDGET, ServedModel, served
from anthropic_server_thoughts import prefix_of, verify, verify_searches
from anthropic_server_types import check_types

Block = dict[str, Any]
VERSIONS = ("2023-06-01", "2026-10-21")
"""The later one has no sampling parameters, whatever the model."""

BINDING_BETA = "thinking-binding-controls-2026-08-01"

_ID = re.compile(r"[a-zA-Z0-9_-]+")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_MAGIC = {
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
    "application/pdf": b"%PDF",
}
_UNSUPPORTED = {
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength", "maxLength"),
    *("maxItems", "uniqueItems", "contains", "prefixItems", "minProperties", "maxProperties"),
    *("patternProperties", "propertyNames", "if", "then", "else", "not"),
}


def check(body: dict[str, Any], version: str, beta: str) -> ServedModel:
    """The model that is to answer. Raises ApiError."""
    check_types(body, binding=beta == BINDING_BETA)
    if version != VERSIONS[0] and (found := body.keys() & {"temperature", "top_p", "top_k"}):
        raise invalid(f"{min(found)}: Extra inputs are not permitted")
    named = served(body["model"])
    if named is None:
        raise ApiError(404, "not_found_error", f"model: {body['model']}")
    check_rules(body, named[1])
    return named[1]


def check_rules(body: dict[str, Any], model: ServedModel) -> None:
    """What holds wherever the model is served. Raises ApiError."""
    _check_cap(body, model)
    _check_thinking(body, model)
    _check_sampling(body, model)
    _check_tools(body, model)
    _check_output_config(body, model)
    _check_rest(body)
    _check_turns(body, model)
    _check_marks(body)


def thinks(body: dict[str, Any], model: ServedModel) -> bool:
    kind = body.get("thinking", {}).get("type")
    return kind in ("enabled", "adaptive") or (model.by_default and kind is None)


def blocks_of(content: str | list[Block]) -> list[Block]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def marked(body: dict[str, Any]) -> Iterator[tuple[str, Block]]:
    """All that can be marked for the cache, in the order in which prompts are cached, with its path."""
    for at, tool in enumerate(body.get("tools", ())):
        yield f"tools.{at}", tool
    for at, block in enumerate(blocks_of(body.get("system", []))):
        yield f"system.{at}", block
    for at, message in enumerate(body["messages"]):
        for n, block in enumerate(blocks_of(message["content"])):
            yield f"messages.{at}.content.{n}", block


def _check_cap(body: dict[str, Any], model: ServedModel) -> None:
    cap = body["max_tokens"]
    if cap < 1:
        raise invalid("max_tokens: must be greater than or equal to 1")
    if cap > model.output:
        raise invalid(
            f"max_tokens: {cap} > {model.output}, which is the maximum allowed number of output tokens for "
            f"{body['model']}"
        )


def _check_thinking(body: dict[str, Any], model: ServedModel) -> None:
    asked = body.get("thinking")
    kind = asked and asked["type"]
    if kind is None:
        return
    if kind == "disabled":
        if model.always:
            raise invalid('"thinking.type.disabled" is not supported for this model.')
        return
    if kind == "between_tools":
        if not model.between_tools:
            raise invalid('"thinking.type.between_tools" is not supported for this model.')
        if body.get("output_config", {}).get("effort") in ("xhigh", "max"):
            raise invalid("output_config.effort: must be at most high with thinking.type.between_tools")
        return
    if model.thinking is None or (kind == "adaptive" and model.thinking == BUDGET):
        raise invalid(f"{kind} thinking is not supported on this model")
    if kind == "enabled":
        if model.thinking == ADAPTIVE:
            raise invalid(
                '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
                '"output_config.effort" to control thinking behavior.'
            )
        if asked["budget_tokens"] < 1024:
            raise invalid("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if body["max_tokens"] <= asked["budget_tokens"]:
            raise invalid("`max_tokens` must be greater than `thinking.budget_tokens`.")
    if body.get("tool_choice", {}).get("type") in ("any", "tool"):
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")


def _check_sampling(body: dict[str, Any], model: ServedModel) -> None:
    given = {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body}
    if given and not model.sampling:
        raise invalid(f"`{min(given)}` is deprecated for this model.")
    for name in ("temperature", "top_p"):
        if not 0 <= given.get(name, 0) <= 1:
            raise invalid(f"{name}: range: 0..1")
    if model.one_sampler and {"temperature", "top_p"} <= given.keys():
        raise invalid(
            "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
        )
    if thinks(body, model):
        if given.get("temperature", 1) != 1:
            raise invalid("`temperature` may only be set to 1 when thinking is enabled.")
        if given.get("top_p", 1) < 0.95:
            raise invalid("`top_p` must be greater than or equal to 0.95 or unset when thinking is enabled.")
        if "top_k" in given:
            raise invalid("`top_k` must be unset when thinking is enabled.")


def _check_tools(body: dict[str, Any], model: ServedModel) -> None:
    tools, choice = body.get("tools", []), body.get("tool_choice")
    for at, tool in enumerate(tools):
        if not _NAME.fullmatch(tool["name"]):
            raise invalid(f"tools.{at}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        if tool.get("type", "custom") == "custom" and tool["input_schema"].get("type") != "object":
            raise invalid(f"tools.{at}.custom.input_schema.type: Field required")
        if tool.get("strict"):
            if not model.schemas:
                raise invalid(f"tools.{at}.custom.strict: strict tools are not supported on this model")
            _check_schema(tool["input_schema"], f"tools.{at}.custom")
    names = [tool["name"] for tool in tools]
    if len(set(names)) < len(names):
        raise invalid("tools: Tool names must be unique.")
    if choice and not tools:
        raise invalid("tool_choice: may only be specified while providing tools")
    if choice and choice["type"] in ("any", "tool") and not model.forced_tools:
        raise invalid("tool_choice: forced tool use is not supported on this model")
    if choice and choice["type"] == "tool" and choice["name"] not in names:
        raise invalid(f"Tool '{choice['name']}' not found in provided tools")


def _check_output_config(body: dict[str, Any], model: ServedModel) -> None:
    config = body.get("output_config", {})
    effort, wanted = config.get("effort"), config.get("format")
    if effort and not model.efforts:
        raise invalid("This model does not support the effort parameter.")
    if effort and effort not in model.efforts:
        raise invalid(f"This model does not support effort level '{effort}'.")
    if wanted and not model.schemas:
        raise invalid(f"'{body['model']}' does not support output format.")
    if wanted:
        _check_schema(wanted["schema"], "output_config.format.schema")


def _check_schema(schema: Any, path: str) -> None:
    if isinstance(schema, list):
        for one in schema:
            _check_schema(one, path)
    if not isinstance(schema, dict):
        return
    kind = schema.get("type")
    if "oneOf" in schema:
        raise invalid(f"{path}: Schema type 'oneOf' is not supported")
    if schema.get("minItems", 0) not in (0, 1):
        raise invalid(f"{path}: For 'array' type, 'minItems' values other than 0 or 1 are not supported")
    if kind == "object" and schema.get("additionalProperties") is not False:
        raise invalid(f"{path}: For 'object' type, 'additionalProperties' must be explicitly set to false")
    if isinstance(kind, str) and (found := sorted(schema.keys() & _UNSUPPORTED)):
        raise invalid(f"{path}: For '{kind}' type, properties {', '.join(found)} are not supported")
    for name, value in schema.items():
        if name in ("properties", "$defs"):
            _check_schema(list(value.values()), path)
        elif name not in ("enum", "const", "default", "required", "examples"):
            _check_schema(value, path)


def _check_rest(body: dict[str, Any]) -> None:
    for stop in body.get("stop_sequences", ()):
        if not stop.strip():
            raise invalid("stop_sequences: each stop sequence must contain non-whitespace")
    if len((body.get("metadata") or {}).get("user_id") or "") > 256:
        raise invalid("metadata.user_id: String should have at most 256 characters")
    if "system" in body:
        if not body["system"]:
            raise invalid("system: text content blocks must be non-empty")
        _check_texts(blocks_of(body["system"]), "system")


def _check_turns(body: dict[str, Any], model: ServedModel) -> None:
    messages = body["messages"]
    if not messages or messages[0]["role"] != "user":
        raise invalid('messages: first message must use the "user" role')
    for at, (before, after) in enumerate(pairwise(messages)):
        if before["role"] == after["role"]:
            raise invalid(
                f'messages.{at + 1}: roles must alternate between "user" and "assistant", but found multiple '
                f'"{after["role"]}" roles in a row'
            )
    turns = [(message["role"], blocks_of(message["content"])) for message in messages]
    told = (body.get("thinking") or {}).get("block_binding") or {}
    binds = model.bound and told.get("prefix_mismatch_behavior") != "drop_block"
    last_assistant = max((at for at, (role, _) in enumerate(turns) if role == "assistant"), default=-1)
    for at, (role, content) in enumerate(turns):
        path = f"messages.{at}"
        if not content:
            raise invalid(f"{path}: all messages must have non-empty content")
        _check_texts(content, path)
        if role == "assistant":
            verify(
                content,
                path,
                latest=at == last_assistant,
                prefix=prefix_of(body, at) if binds else None,
            )
            verify_searches(content, path)
        else:
            _check_media(content, f"{path}.content")
    _check_pairs(turns)
    _check_last(turns, body, model)


def _check_texts(content: list[Block], path: str) -> None:
    for block in content:
        if block["type"] == "text" and not block["text"]:
            raise invalid(f"{path}: text content blocks must be non-empty")
        if block["type"] == "text" and not block["text"].strip():
            raise invalid(f"{path}: text content blocks must contain non-whitespace text")


def _check_pairs(turns: list[tuple[str, list[Block]]]) -> None:
    """Each tool use has its one result at the very beginning of the next turn, and each result its use."""
    seen: set[str] = set()
    open_calls: list[str] = []
    for at, (role, content) in enumerate(turns):
        if role == "user":
            leading = []
            for block in content:
                if block["type"] != "tool_result":
                    break
                leading.append(block["tool_use_id"])
            if missing := [call for call in open_calls if call not in leading]:
                raise invalid(
                    f"messages.{at - 1}: `tool_use` ids were found without `tool_result` blocks immediately "
                    f"after: {', '.join(missing)}. Each `tool_use` block must have a corresponding "
                    "`tool_result` block in the next message."
                )
            results = [block["tool_use_id"] for block in content if block["type"] == "tool_result"]
            for n, result in enumerate(results):
                if result not in open_calls:
                    raise invalid(
                        f"messages.{at}.content.{n}: unexpected `tool_use_id` found in `tool_result` blocks: "
                        f"{result}. Each `tool_result` block must have a corresponding `tool_use` block in "
                        "the previous message."
                    )
            if len(set(results)) < len(results):
                raise invalid(f"messages.{at}: each tool_use must have a single result.")
            open_calls = []
            continue
        for n, block in enumerate(content):
            if block["type"] != "tool_use":
                continue
            if not _ID.fullmatch(block["id"]):
                raise invalid(
                    f"messages.{at}.content.{n}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
                )
            if not _NAME.fullmatch(block["name"]):
                raise invalid(f"messages.{at}.content.{n}.tool_use.name: String should match pattern")
            if block["id"] in seen:
                raise invalid(f"messages.{at}.content.{n}: `tool_use` ids must be unique")
            seen.add(block["id"])
            open_calls.append(block["id"])
    if open_calls:
        raise invalid(f"messages: `tool_use` ids were found without `tool_result` blocks: {open_calls}")


def _check_last(turns: list[tuple[str, list[Block]]], body: dict[str, Any], model: ServedModel) -> None:
    role, content = turns[-1]
    if role == "assistant":
        if not model.prefill:
            raise invalid(
                "This model does not support assistant message prefill. The conversation must end with a "
                "user message."
            )
        if thinks(body, model):
            raise invalid("Prefilling assistant messages is not supported when thinking is enabled.")
        if content[-1]["type"] == "text" and content[-1]["text"] != content[-1]["text"].rstrip():
            raise invalid("messages: final assistant content cannot end with trailing whitespace")
    elif content[0]["type"] == "tool_result" and body.get("thinking", {}).get("type") == "enabled":
        first = turns[-2][1][0]["type"]
        if first not in ("thinking", "redacted_thinking"):
            raise invalid(
                f"messages.{len(turns) - 2}.content.0.type: Expected `thinking` or `redacted_thinking`, but "
                f"found `{first}`. When `thinking` is enabled, a final `assistant` message must start with a "
                "thinking block (preceding the lastmost set of `tool_use` and `tool_result` blocks)."
            )


def _check_media(content: list[Block], path: str) -> None:
    for at, block in enumerate(content):
        where = f"{path}.{at}"
        if block["type"] == "tool_result" and isinstance(block.get("content"), list):
            _check_media(block["content"], f"{where}.content")
            _check_texts(block["content"], f"{where}.content")
        if block["type"] not in ("image", "document"):
            continue
        source = block["source"]
        if source["type"] == "url" and not source["url"].startswith("https://"):
            raise invalid(f"{where}.{block['type']}.source.url: Only HTTPS URLs are supported.")
        if source["type"] == "base64":
            _check_bytes(source, f"{where}.{block['type']}.source.base64")


def _check_bytes(source: Block, path: str) -> None:
    try:
        data = base64.b64decode(source["data"], validate=True)
    except binascii.Error:
        raise invalid(f"{path}.data: Invalid base64 data") from None
    if not data.startswith(_MAGIC[source["media_type"]]):
        raise invalid(
            f"{path}: The file was specified using the {source['media_type']} media type, but is not one"
        )


def _check_marks(body: dict[str, Any]) -> None:
    marks = [(path, block["cache_control"]) for path, block in marked(body) if block.get("cache_control")]
    if "cache_control" in body or len(marks) > 4:
        raise invalid(f"A maximum of 4 blocks with cache_control may be provided. Found {len(marks)}.")
    short = False
    for path, mark in marks:
        if mark.get("ttl") == "1h" and short:
            raise invalid(
                f"{path}.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' "
                "cache_control block. Note that blocks are processed in the following order: `tools`, "
                "`system`, `messages`."
            )
        short = short or mark.get("ttl") != "1h"
