"""Converse's words and those of the Messages API, whose imitation knows the rules and has the answers."""

import json
from base64 import b64decode, b64encode
from typing import Any

from anthropic_server_faults import ApiError
from bedrock_server_models import Model

Json = dict[str, Any]

_MEDIA = {"pdf": "application/pdf", "txt": "text/plain"}
_STOPS = {"refusal": "content_filtered"}


def as_messages(body: Json, own: str, model: Model) -> Json:
    """The request, as the model itself would be told it."""
    told = {**body.get("additionalModelRequestFields", {})}
    inference = body.get("inferenceConfig", {})
    config = body.get("toolConfig", {})
    asked: Json = {
        "model": own,
        "max_tokens": inference.get("maxTokens", model.rules.output),
        "system": _blocks(body.get("system", []), model),
        "messages": [
            {"role": turn["role"], "content": _blocks(turn["content"], model)} for turn in body["messages"]
        ],
        "tools": _blocks(config.get("tools", []), model),
        "tool_choice": told.pop("tool_choice", None) or _choice(config.get("toolChoice")),
        "temperature": inference.get("temperature"),
        "top_p": inference.get("topP"),
        "top_k": _taken(told, model.top_k),
        "stop_sequences": inference.get("stopSequences"),
        "thinking": told.pop("thinking", None) or _thinking(told),
        "output_config": _output(body.get("outputConfig", {})),
    }
    return {name: value for name, value in asked.items() if value not in (None, [], {})}


def _taken(told: Json, path: tuple[str, ...] | None) -> Any:
    found: Any = told
    for name in path or ():
        found = found.get(name, {})
    return None if found in (told, {}) else found


def _choice(choice: Json | None) -> Json | None:
    match choice:
        case None:
            return None
        case {"tool": {"name": name}}:
            return {"type": "tool", "name": name}
    return {"type": next(iter(choice))}


def _thinking(told: Json) -> Json | None:
    config = told.get("reasoningConfig")
    if config is None:
        return None
    return {"type": "adaptive" if config["type"] == "enabled" else "disabled"}


def _output(config: Json) -> Json:
    found: Json = {}
    if "effort" in config:
        found["effort"] = config["effort"]
    if "textFormat" in config:
        schema = config["textFormat"]["structure"]["jsonSchema"]["schema"]
        found["format"] = {"type": "json_schema", "schema": json.loads(schema)}
    return found


def _blocks(content: list[Json], model: Model) -> list[Json]:
    """A cache point marks what stands before it."""
    found: list[Json] = []
    for block in content:
        if "cachePoint" in block:
            if not found or "cache_control" in found[-1]:
                raise ApiError(400, "ValidationException", "cachePoint cannot be inserted after nothing")
            found[-1]["cache_control"] = {"type": "ephemeral", "ttl": block["cachePoint"].get("ttl", "5m")}
        else:
            found.append(_block(block, model))
    return found


def _block(block: Json, model: Model) -> Json:
    match block:
        case {"text": text}:
            return {"type": "text", "text": text}
        case {"json": value}:
            return {"type": "text", "text": json.dumps(value)}
        case {"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}:
            return {"type": "thinking", "thinking": text, "signature": signature}
        case {"reasoningContent": {"redactedContent": data}}:
            return {"type": "redacted_thinking", "data": b64decode(data).decode()}
        case {"toolUse": {"toolUseId": call, "name": name, "input": arguments}}:
            return {"type": "tool_use", "id": call, "name": name, "input": arguments}
        case {"toolResult": {"toolUseId": call, "content": content}}:
            return {"type": "tool_result", "tool_use_id": call, "content": _blocks(content, model)}
        case {"toolSpec": {"name": name, "inputSchema": {"json": schema}, **more}}:
            return {"name": name, "input_schema": schema, **more}
        case {"image": {"format": form, "source": {"bytes": data}}}:
            return {"type": "image", "source": _source(f"image/{form}", data)}
        case {"document": {"format": "pdf", "source": {"bytes": data}}}:
            return {"type": "document", "source": _source("application/pdf", data)}
        case {"document": {"name": name}}:
            return {"type": "text", "text": f"[{name}]"}
    raise ApiError(400, "ValidationException", f"{next(iter(block))} is not supported by this model")


def _source(kind: str, data: str) -> Json:
    return {"type": "base64", "media_type": kind, "data": data}


def as_content(message: Json, model: Model) -> list[Json]:
    """The blocks of an answer. Only one family signs what it thinks."""
    return [_said(block, model) for block in message["content"]]


def _said(block: Json, model: Model) -> Json:
    match block:
        case {"type": "text", "text": text}:
            return {"text": text}
        case {"type": "thinking", "thinking": text, "signature": signature}:
            signed = {"signature": signature} if model.family == "anthropic" else {}
            return {"reasoningContent": {"reasoningText": {"text": text, **signed}}}
        case {"type": "redacted_thinking", "data": data}:
            return {"reasoningContent": {"redactedContent": b64encode(data.encode()).decode()}}
        case {"type": "tool_use", "id": call, "name": name, "input": arguments}:
            return {"toolUse": {"toolUseId": call, "name": name, "input": arguments}}
    raise AssertionError(block)


def as_reason(reason: str) -> str:
    return _STOPS.get(reason, reason)


def as_usage(usage: Json) -> Json:
    """As Converse counts: nothing in two buckets."""
    fresh, output = usage["input_tokens"], usage["output_tokens"]
    read, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
    told = {
        "inputTokens": fresh,
        "outputTokens": output,
        "totalTokens": fresh + read + written + output,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": written,
    }
    if written:
        by_ttl = {"1h": "ephemeral_1h_input_tokens", "5m": "ephemeral_5m_input_tokens"}
        found = {ttl: usage["cache_creation"][name] for ttl, name in by_ttl.items()}
        told["cacheDetails"] = [{"ttl": ttl, "inputTokens": count} for ttl, count in found.items() if count]
    return told
