"""Whatever comes in: a request or a refusal, never anything else."""

import json
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantized.core.errors import InvalidRequest
from quantized.core.request import GenerationRequest
from quantized.surfaces.chat.schema import HINTS, ChatCompletionRequest
from quantized.surfaces.chat.surface import ChatSurface
from quantized.wire.diagnosis import diagnose

SURFACE = ChatSurface(depth=24)
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

VALID: dict[str, Any] = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "s"},
        {
            "role": "developer",
            "content": [{"type": "text", "text": "d", "cache_control": {"type": "ephemeral"}}],
        },
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "u"},
                {"type": "image_url", "image_url": {"url": "https://a.example/b.png", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
                {"type": "file", "file": {"file_id": "f"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "reasoning": "r",
            "reasoning_details": [{"type": "reasoning.text", "text": "r"}],
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            "annotations": [{"a": 1}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "t"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"b": [1]}}},
    "logit_bias": {"1": 1},
    "metadata": {"a": "b"},
    "reasoning": {"effort": "low"},
    "web_search_options": {"user_location": {"type": "approximate", "approximate": {"city": "x"}}},
    "stop": ["a"],
    "top_k": 4,
    "temperature": 1,
}
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([10**400, "\ud800", "\udfff", "text", "user", "function", "data:;base64,", "https://"])
)
KEYS = st.text(max_size=5) | st.sampled_from(
    ["type", "role", "content", "text", "name", "id", "\udc00", *VALID]
)
ANY_JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


def check(body: bytes) -> None:
    try:
        request = SURFACE.parse(body)
    except InvalidRequest as fault:
        answer = SURFACE.render_error(fault)
        assert answer.status == 400
        told = msgspec.json.decode(answer.body)["error"]
        assert told["message"]
        assert len(told["message"]) < 1000
        return
    assert isinstance(request, GenerationRequest)
    msgspec.json.encode(request).decode("utf-8")


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


def mutated(value: Any, path: tuple[Any, ...], change: Any) -> Any:
    """`value` with what is at `path` replaced by what `change` makes of it; removed where that is `...`."""
    if not path:
        return change(value)
    copy = value.copy()
    inner = mutated(value[path[0]], path[1:], change)
    if inner is ...:
        del copy[path[0]]
    else:
        copy[path[0]] = inner
    return copy


PLACES = [path for path in places(VALID) if path]


@FUZZ
@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    check(body)


@FUZZ
@given(ANY_JSON)
def test_any_json(value: Any) -> None:
    check(json.dumps(value).encode())


@FUZZ
@given(st.dictionaries(st.sampled_from(ChatCompletionRequest.__struct_fields__), ANY_JSON, max_size=4))
def test_any_value_in_a_known_field(fields: dict[str, Any]) -> None:
    check(json.dumps({**VALID, **fields}).encode())
    check(json.dumps({**VALID, **fields}, ensure_ascii=False).encode("utf-8", "surrogatepass"))


@FUZZ
@given(st.sampled_from(PLACES), ANY_JSON)
def test_a_valid_request_with_one_value_replaced(path: tuple[Any, ...], value: Any) -> None:
    check(json.dumps(mutated(VALID, path, lambda _: value)).encode())


@FUZZ
@given(st.sampled_from(PLACES))
def test_a_valid_request_with_one_value_removed(path: tuple[Any, ...]) -> None:
    check(json.dumps(mutated(VALID, path, lambda _: ...)).encode())


@FUZZ
@given(st.sampled_from(places(VALID)), KEYS, ANY_JSON)
def test_a_valid_request_with_one_key_added(path: tuple[Any, ...], key: str, value: Any) -> None:
    def add(at: Any) -> Any:
        return {**at, key: value} if isinstance(at, dict) else at

    check(json.dumps(mutated(VALID, path, add)).encode())


@FUZZ
@given(st.data())
def test_a_valid_request_with_its_bytes_damaged(data: st.DataObject) -> None:
    body = bytearray(json.dumps(VALID).encode())
    at = data.draw(st.integers(0, len(body) - 1))
    match data.draw(st.sampled_from(["cut", "replace", "insert"])):
        case "cut":
            del body[at:]
        case "replace":
            body[at] = data.draw(st.integers(0, 255))
        case "insert":
            body[at:at] = data.draw(st.binary(min_size=1, max_size=6))
    check(bytes(body))


@FUZZ
@given(st.sampled_from(PLACES), ANY_JSON)
def test_the_diagnosis_finds_exactly_what_msgspec_refuses(path: tuple[Any, ...], value: Any) -> None:
    try:
        plain = msgspec.json.decode(json.dumps(mutated(VALID, path, lambda _: value)))
    except msgspec.DecodeError:
        return
    try:
        msgspec.json.decode(msgspec.json.encode(plain), type=ChatCompletionRequest)
        fits = True
    except msgspec.ValidationError:
        fits = False
    assert (diagnose(plain, ChatCompletionRequest, HINTS) is None) == fits


def test_the_valid_request_is_valid() -> None:
    assert SURFACE.parse(json.dumps(VALID).encode()).model == "m"
