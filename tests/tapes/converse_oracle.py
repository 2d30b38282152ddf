"""What Bedrock would say to the body of a Converse request: by botocore's own service model, and by the rules
that the API is known to hold requests to."""

import json
import re
from base64 import b64decode
from functools import cache
from itertools import pairwise
from typing import Any

import botocore.session
from botocore.model import OperationModel, Shape
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator

_MOST_CACHE_POINTS = 4


@cache
def operation(*, stream: bool) -> OperationModel:
    service = botocore.session.get_session().get_service_model("bedrock-runtime")
    return service.operation_model("ConverseStream" if stream else "Converse")


def serialized(body: dict[str, Any], model: str, *, stream: bool) -> tuple[str, dict[str, Any]]:
    """(path, body) as botocore writes them for the same parameters."""
    shape = operation(stream=stream).input_shape
    params = {"modelId": model, **_plain(body, shape)}
    report = ParamValidator().validate(params, shape)
    assert not report.has_errors(), report.generate_report()
    request = create_serializer("rest-json").serialize_to_request(params, operation(stream=stream))
    return request["url_path"], json.loads(request["body"] or b"{}")


def check(body: dict[str, Any], model: str, *, stream: bool = False) -> None:
    """Raises AssertionError for what the API would refuse."""
    _check_shape(body, operation(stream=stream).input_shape, "$")
    _, written = serialized(body, model, stream=stream)
    assert written == body
    _check_turns(body["messages"])
    _check_blocks(body)
    _check_calls(body)


def _plain(value: Any, shape: Shape) -> Any:
    """JSON to what botocore takes: bytes for base64."""
    match shape.type_name:
        case "structure" if not getattr(shape, "is_document_type", False):
            return {
                name: _plain(inner, shape.members[name]) if name in shape.members else inner
                for name, inner in value.items()
            }
        case "list":
            return [_plain(inner, shape.member) for inner in value]
        case "blob":
            return b64decode(value, validate=True)
    return value


def _check_shape(value: Any, shape: Shape, path: str) -> None:
    """What botocore leaves to the server: enumerations, patterns, lengths, unknown members."""
    match shape.type_name:
        case "structure" if not getattr(shape, "is_document_type", False):
            assert set(value) <= set(shape.members), f"{path}: {set(value) - set(shape.members)}"
            if getattr(shape, "is_tagged_union", False):
                assert len(value) == 1, f"{path}: a union has one member"
            for name, inner in value.items():
                _check_shape(inner, shape.members[name], f"{path}.{name}")
        case "list":
            for n, inner in enumerate(value):
                _check_shape(inner, shape.member, f"{path}[{n}]")
        case "map":
            for name, inner in value.items():
                _check_shape(name, shape.key, f"{path}.<{name}>")
                _check_shape(inner, shape.value, f"{path}.{name}")
        case "string":
            _check_text(value, shape, path)
        case "float" | "integer":
            meta = shape.metadata
            assert meta.get("min", value) <= value <= meta.get("max", value), f"{path}: {value}"


def _check_text(value: str, shape: Shape, path: str) -> None:
    meta = shape.metadata
    assert len(value) <= meta.get("max", len(value)), f"{path}: too long"
    assert not meta.get("enum") or value in meta["enum"], f"{path}: {value}"
    if "pattern" in meta and shape.name != "ConversationalModelId":
        assert re.fullmatch(meta["pattern"], value, re.ASCII), f"{path}: {value!r}"


def _check_turns(turns: list[dict[str, Any]]) -> None:
    assert turns[0]["role"] == "user", "a conversation starts with a user message"
    assert all(before["role"] != after["role"] for before, after in pairwise(turns)), "roles alternate"
    for turn in turns:
        kinds = [next(iter(block)) for block in turn["content"]]
        assert kinds, "a message has content"
        assert "document" not in kinds or "text" in kinds, "a document comes with a text"
        assert turn["role"] == "user" or not {"image", "document", "audio", "toolResult"} & set(kinds)
        assert turn["role"] == "assistant" or not {"toolUse", "reasoningContent"} & set(kinds)
        plain = [kind for kind in kinds if kind != "cachePoint"]
        results = plain.count("toolResult")
        assert plain[:results] == ["toolResult"] * results, "tool results come first"
    last = turns[-1]["content"][-1]
    assert turns[-1]["role"] == "user" or last.get("text", "x") == last.get("text", "x").rstrip()


def _check_blocks(body: dict[str, Any]) -> None:
    blocks = list(_walk(body["messages"])) + list(_walk(body.get("system", [])))
    for block in blocks:
        assert not isinstance(block.get("text"), str) or block["text"].strip(), "text blocks are not blank"
        if "reasoningContent" in block:
            assert len(block["reasoningContent"]) == 1, "reasoning has exactly one member"
    names = [block["document"]["name"] for block in blocks if "document" in block]
    assert len(set(names)) == len(names), "documents have names of their own"
    for name in names:
        assert re.fullmatch(r"[a-zA-Z0-9()\[\]-]+(?:\s[a-zA-Z0-9()\[\]-]+)*", name, re.ASCII), name
    points = json.dumps(body).count('"cachePoint"')
    assert points <= _MOST_CACHE_POINTS, "at most four cache points"
    previous = [None]
    for kind in ("tools", "system", "messages"):
        where = body.get("toolConfig", {}).get("tools", []) if kind == "tools" else body.get(kind, [])
        for block in _walk(where):
            if "cachePoint" in block:
                ttl = block["cachePoint"].get("ttl", "5m")
                assert not (ttl == "1h" and previous[-1] == "5m"), "long lives come first"
                previous.append(ttl)


def _check_calls(body: dict[str, Any]) -> None:
    waiting: list[str] = []
    seen: set[str] = set()
    for turn in body["messages"]:
        results = [block["toolResult"]["toolUseId"] for block in turn["content"] if "toolResult" in block]
        assert sorted(results) == sorted(waiting), "each call has its result in the next message"
        waiting = [block["toolUse"]["toolUseId"] for block in turn["content"] if "toolUse" in block]
        assert not seen.intersection(waiting), "ids of calls are unique"
        assert len(set(waiting)) == len(waiting), "ids of calls are unique"
        seen.update(waiting)
        for block in turn["content"]:
            if "toolUse" in block:
                assert isinstance(block["toolUse"]["input"], dict), "input is an object"
    assert not waiting, "each call has its result"
    assert not seen or body.get("toolConfig", {}).get("tools"), "toolConfig must be there"


def _walk(value: Any) -> Any:
    """Every content block, those within tool results too."""
    for block in value:
        if isinstance(block, dict):
            yield block
            yield from _walk(block.get("content", ()))
            if isinstance(block.get("toolResult"), dict):
                yield from _walk(block["toolResult"]["content"])
