"""Whatever comes in: a request or a refusal, never anything else."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from responses_samples import IDENTITY, SURFACE, taped_answer

from quantized.core.errors import InvalidRequest
from quantized.core.turns import Found, Turn
from quantized.surfaces.responses.asked import ResponsesAsked
from quantized.surfaces.responses.surface import ResponsesSurface

FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
SHALLOW = ResponsesSurface(depth=24)
ANSWER = taped_answer("openai_plain")

VALID: dict[str, Any] = {
    "model": "m",
    "input": [
        {"role": "system", "content": "s"},
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "d"}]},
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "u"},
                {"type": "input_image", "image_url": "https://a.example/b.png", "detail": "low"},
                {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
                {"type": "input_file", "file_id": "f"},
            ],
        },
        {"type": "reasoning", "id": "rs-1", "summary": [{"type": "summary_text", "text": "r"}]},
        {
            "role": "assistant",
            "id": "msg-1",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "a", "annotations": [{"a": 1}], "logprobs": []},
                {"type": "refusal", "refusal": "no"},
            ],
        },
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "t"}]},
        {"type": "web_search_call", "id": "ws-1", "status": "completed", "action": {"type": "search"}},
        {"type": "image_generation_call", "result": "AA==", "output_format": "png"},
    ],
    "instructions": "i",
    "tools": [
        {"type": "function", "name": "f", "parameters": {"type": "object"}},
        {"type": "function", "function": {"name": "g"}},
        {"type": "web_search", "user_location": {"type": "approximate", "city": "x"}},
    ],
    "tool_choice": {"type": "function", "name": "f"},
    "reasoning": {"effort": "low", "exclude": True},
    "temperature": 1,
    "previous_response_id": "resp-1",
}
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "user", "message", "function", "function_call", "auto", "https://a.example", "\n"])
    | st.text(max_size=5)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
NAMES = st.sampled_from(
    ["type", "role", "content", "id", "model", "input", "call_id", "output", "name", "status", "x"]
)


def judge(body: bytes) -> None:
    """Refused with an answer, or taken and carried through to what is stored."""
    try:
        asked = SHALLOW.parse(body)
        assert isinstance(asked, ResponsesAsked)
        conversation = SHALLOW.compose(asked, Found())
    except InvalidRequest as refusal:
        answer = SHALLOW.render_error(refusal)
        assert answer.status in {400, 422}
        assert json.loads(answer.body)["error"]["message"]
    else:
        turn = SHALLOW.turn(conversation, IDENTITY, ANSWER, 0)
        assert isinstance(turn, Turn)
        assert len(turn.input) == len(asked.items)
        assert json.loads(SHALLOW.render(turn, None))["status"] == "completed"


def test_the_sample_is_valid():
    assert isinstance(SURFACE.parse(json.dumps(VALID).encode()), ResponsesAsked)
    judge(json.dumps(VALID).encode())


@FUZZ
@given(st.binary(max_size=60))
def test_any_bytes(body):
    judge(body)


@FUZZ
@given(JSON)
def test_any_json(value):
    judge(json.dumps(value).encode())


@FUZZ
@given(JSON)
def test_any_input(value):
    judge(json.dumps({"model": "m", "input": value}).encode())
    judge(json.dumps({"model": "m", "input": [value]}).encode())


@settings(FUZZ, max_examples=400)
@given(data=st.data())
def test_a_valid_request_with_one_thing_changed(data):
    """Somewhere in it a value is replaced, removed or added."""
    body = json.loads(json.dumps(VALID))
    node: Any = body
    while True:
        keys = list(range(len(node)) if isinstance(node, list) else node)
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if isinstance(node[key], dict | list) and data.draw(st.booleans()):
            node = node[key]
            continue
        match data.draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                node[key] = data.draw(JSON)
            case "remove":
                del node[key]
            case _ if isinstance(node, dict):
                node[data.draw(NAMES)] = data.draw(JSON)
            case _:
                node.append(data.draw(JSON))
        break
    judge(json.dumps(body).encode())


@FUZZ
@given(cut=st.integers(0, len(json.dumps(VALID))), junk=st.binary(max_size=3))
def test_a_valid_request_cut_or_with_junk_inside(cut, junk):
    body = json.dumps(VALID).encode()
    judge(body[:cut])
    judge(body[:cut] + junk + body[cut:])


def test_depth_and_strange_numbers_inside_of_an_item():
    deep = b"[" * 5000 + b"]" * 5000
    for inner in (deep, b"1e999", b'"\xff"', b"{" * 3000, b"null"):
        judge(b'{"model":"m","input":[' + inner + b"]}")
        item = b'{"type":"web_search_call","action":' + inner + b"}"
        judge(b'{"model":"m","input":[' + item + b"]}")
        judge(b'{"model":"m","input":[{"role":"user","content":' + inner + b"}]}")
