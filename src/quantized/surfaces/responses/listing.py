"""The items of a turn's input as they are read back, each complete and with an id of its own."""

from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct, to_builtins

from quantized.core.turns import StoredItem
from quantized.surfaces.responses.answers import encode
from quantized.surfaces.responses.compose import ComposedItem
from quantized.surfaces.responses.history import given
from quantized.surfaces.responses.items import (
    AssistantItem,
    AssistantPart,
    DeveloperItem,
    FunctionCallItem,
    FunctionCallOutputItem,
    ImageGenerationCallItem,
    InputContent,
    InputImagePart,
    InputPart,
    ItemReference,
    OutputRefusalPart,
    OutputTextPart,
    ReasoningItem,
    SystemItem,
    UserItem,
    WebSearchCallItem,
)

_JSON = dict[str, Any]
_Shown = (
    UserItem
    | SystemItem
    | DeveloperItem
    | AssistantItem
    | FunctionCallItem
    | FunctionCallOutputItem
    | ReasoningItem
    | WebSearchCallItem
    | ImageGenerationCallItem
)
_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
    "web_search_call": "ws",
    "image_generation_call": "ig",
}


class InputItemList(Struct, frozen=True, kw_only=True):
    """`first_id` and `last_id` are empty where `data` is."""

    object: Literal["list"] = "list"
    data: list[Raw]
    first_id: str
    last_id: str
    has_more: bool


class DeletedResponse(Struct, frozen=True, kw_only=True):
    id: str
    object: Literal["response"] = "response"
    deleted: Literal[True] = True


def stored_input(items: tuple[ComposedItem, ...], suffix: str) -> tuple[StoredItem, ...]:
    return tuple([_stored(item, suffix, at) for at, item in enumerate(items)])


def _stored(composed: ComposedItem, suffix: str, at: int) -> StoredItem:
    item = composed.asked.item
    shown = _referred(composed.shown) if isinstance(item, ItemReference) else _shown(item)
    item_id = f"{_PREFIXES.get(shown['type'], 'item')}-{suffix}-i{at}"
    return StoredItem(
        id=item_id,
        json=Raw(encode({**shown, "id": item_id})),
        messages=composed.messages,
        call_id=item.call_id if isinstance(item, FunctionCallItem) else None,
    )


def _referred(shown: Raw | None) -> _JSON:
    return {"type": "item_reference"} if shown is None else msgspec.json.decode(shown, type=_JSON)


def _shown(item: _Shown) -> _JSON:
    """Its JSON, without an id."""
    match item:
        case UserItem(role, content) | SystemItem(role, content) | DeveloperItem(role, content):
            told: _JSON = {"type": "message", "role": role, "content": _input(content)}
        case AssistantItem(role, content):
            told = {"type": "message", "role": role, "content": _spoken(content)}
        case FunctionCallItem(kind, call_id, name, arguments):
            told = {"type": kind, "call_id": call_id, "name": name, "arguments": arguments}
        case FunctionCallOutputItem(kind, call_id, output):
            returned = output if isinstance(output, str) else _input(output)
            told = {"type": kind, "call_id": call_id, "output": returned}
        case ReasoningItem(kind, _, summary, content):
            told = {"type": kind, "summary": to_builtins(summary or ()), "content": to_builtins(content)}
        case WebSearchCallItem(kind, _, _, action):
            told = {"type": kind, "action": action if given(action) else {"type": "search", "query": ""}}
        case _:
            told = {"type": item.type, "result": item.result}
            if item.output_format is not None:
                told["output_format"] = item.output_format
    return {**told, "status": item.status or "completed"}


def _input(content: InputContent) -> list[_JSON]:
    if isinstance(content, str):
        return [{"type": "input_text", "text": content}]
    return [_input_part(part) for part in content]


def _input_part(part: InputPart) -> _JSON:
    told = {name: value for name, value in to_builtins(part).items() if value is not None}
    return {"detail": "auto", **told} if isinstance(part, InputImagePart) else told


def _spoken(content: str | tuple[AssistantPart, ...]) -> list[_JSON]:
    if isinstance(content, str):
        return [{"type": "output_text", "text": content, "annotations": []}]
    return [_spoken_part(part) for part in content]


def _spoken_part(part: AssistantPart) -> _JSON:
    match part:
        case OutputRefusalPart(refusal):
            return {"type": "refusal", "refusal": refusal}
        case OutputTextPart(text, annotations):
            return {
                "type": "output_text",
                "text": text,
                "annotations": annotations if given(annotations) else [],
            }
        case _:
            return {"type": "output_text", "text": part.text, "annotations": []}
