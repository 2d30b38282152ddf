"""Whole and streamed answers: every documented field, read by OpenAI's own client and types."""

import json
from typing import Any

import pytest
from chat_samples import ANSWERS, BILL, STARTED, client_reading, text
from openai import APIError
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from quantized.core.errors import ProviderUnavailable
from quantized.core.events import (
    ArgumentsDelta,
    Event,
    Finished,
    FinishReason,
    PartFinished,
    PartStarted,
    Started,
    TextDelta,
)
from quantized.core.fold import fold
from quantized.core.parts import Reasoning, ToolCall
from quantized.core.request import GenerationRequest
from quantized.core.usage import Bill, Usage
from quantized.surfaces.chat.surface import ChatSurface

SURFACE = ChatSurface()
HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def asked(**fields: Any) -> GenerationRequest:
    return SURFACE.parse(json.dumps({**HELLO, **fields}).encode())


def reason_of(events: list[Event]) -> FinishReason:
    calls = any(isinstance(event, PartStarted) and event.kind == "tool_call" for event in events)
    return "tool_calls" if calls else "stop"


def whole(events: list[Event], request: GenerationRequest | None = None, bill: Bill = BILL) -> Any:
    answer = fold([STARTED, *events, Finished(reason_of(events), bill.usage)])
    return json.loads(SURFACE.render(request or asked(), answer, bill))


def streamed(events: list[Event], request: GenerationRequest | None = None) -> bytes:
    renderer = SURFACE.renderer(request or asked(stream=True))
    frames = [renderer.feed(event) for event in (STARTED, *events)]
    return b"".join([*frames, renderer.finish(reason_of(events), BILL)])


def chunks(stream: bytes) -> list[Any]:
    frames = stream.decode().split("\n\n")
    assert frames[-1] == ""
    assert frames[-2] == "data: [DONE]"
    return [json.loads(frame.removeprefix("data: ")) for frame in frames[:-2]]


def test_the_documented_answer() -> None:
    assert whole(text(0, "The capital of France is Paris.")) == {
        "id": "gen-abc123",
        "object": "chat.completion",
        "model": "openai/gpt-4.1-mini",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "The capital of France is Paris.",
                    "refusal": None,
                    "reasoning": None,
                },
                "finish_reason": "stop",
                "logprobs": None,
            }
        ],
        "usage": {
            "prompt_tokens": 25,
            "completion_tokens": 8,
            "total_tokens": 33,
            "credits_used": 2400,
            "credits_remaining": 997600,
            "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 3, "audio_tokens": 0},
        },
        "created": 1719000000,
        "system_fingerprint": "fp_abc123",
    }


def test_usage_adds_up_and_tells_what_a_bill_needs() -> None:
    used = Usage(
        input=1,
        cached_read=2,
        cache_write=4,
        cache_write_1h=8,
        input_audio=16,
        output=32,
        reasoning=64,
        output_audio=128,
        output_image=256,
        web_searches=3,
    )
    usage = whole(text(0, "x"), bill=Bill(used, 7, None, estimated=True))["usage"]
    assert usage == {
        "prompt_tokens": 31,
        "completion_tokens": 480,
        "total_tokens": 511,
        "credits_used": 7,
        "credits_remaining": None,
        "prompt_tokens_details": {
            "cached_tokens": 2,
            "cache_write_tokens": 12,
            "audio_tokens": 16,
            "cache_write_1h_tokens": 8,
        },
        "completion_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 128, "image_tokens": 256},
        "web_searches": 3,
        "estimated": True,
    }


def test_content_is_null_where_there_are_only_tool_calls() -> None:
    message = whole(ANSWERS["tools"])["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"][1] == {
        "id": "call_2",
        "type": "function",
        "function": {"name": "get_weather", "arguments": '{"city":"Rome"}'},
    }


def test_reasoning_is_shown_unless_excluded() -> None:
    message = whole(ANSWERS["reasoning"])["choices"][0]["message"]
    assert message["reasoning"] == "Let me think."
    assert [block["type"] for block in message["reasoning_details"]] == [
        "reasoning.text",
        "reasoning.encrypted",
    ]
    hidden = asked(reasoning={"exclude": True})
    message = whole(ANSWERS["reasoning"], hidden)["choices"][0]["message"]
    assert message["reasoning"] is None
    assert "reasoning_details" not in message
    assert message["content"] == "Paris."
    assert b"think" not in streamed(ANSWERS["reasoning"], hidden)


@pytest.mark.parametrize("name", ANSWERS)
def test_openais_types_accept_every_answer_and_chunk(name: str) -> None:
    ChatCompletion.model_validate(whole(ANSWERS[name]), strict=True)
    for chunk in chunks(streamed(ANSWERS[name])):
        ChatCompletionChunk.model_validate(chunk, strict=True)


@pytest.mark.parametrize("name", ANSWERS)
def test_openais_client_adds_up_a_stream_to_the_unstreamed_answer(name: str) -> None:
    with (
        client_reading(streamed(ANSWERS[name]), "text/event-stream") as client,
        client.chat.completions.stream(**HELLO) as stream,
    ):
        added_up = stream.get_final_completion().model_dump(exclude_unset=True)
    with client_reading(json.dumps(whole(ANSWERS[name])).encode(), "application/json") as client:
        at_once = client.chat.completions.create(**HELLO).model_dump(exclude_unset=True)
    assert comparable(added_up) == comparable(at_once)
    assert added_up["usage"]["credits_remaining"] == 997_600


def comparable(completion: dict[str, Any]) -> dict[str, Any]:
    """Without what the client adds of its own, and without nulls, which it does not always keep."""
    message = completion["choices"][0]["message"]
    for call in message.get("tool_calls") or ():
        call.pop("index", None)
        call["function"].pop("parsed_arguments", None)
    message.pop("parsed", None)
    return without_nulls(completion)


def without_nulls(value: Any) -> Any:
    match value:
        case dict():
            return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
        case list():
            return [without_nulls(inner) for inner in value]
        case _:
            return value


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("way", ["gateway", "create", "stream"])
def test_an_answer_can_be_sent_back_unchanged(name: str, way: str) -> None:
    said = whole(ANSWERS[name])
    if way == "gateway":
        message = said["choices"][0]["message"]
    elif way == "create":
        message = ChatCompletion.model_validate(said).choices[0].message.model_dump()
    else:
        with (
            client_reading(streamed(ANSWERS[name]), "text/event-stream") as client,
            client.chat.completions.stream(**HELLO) as stream,
        ):
            message = stream.get_final_completion().choices[0].message.model_dump()
    body = {**HELLO, "messages": [*HELLO["messages"], message]}
    sent_back = SURFACE.parse(json.dumps(body).encode()).messages[1]
    assert sent_back.role == "assistant"
    answer = fold([STARTED, *ANSWERS[name], Finished("stop", None)])
    calls = [part for part in answer.parts if isinstance(part, ToolCall)]
    assert [part for part in sent_back.parts if isinstance(part, ToolCall)] == calls
    if name == "reasoning":
        (thought,) = [part for part in sent_back.parts if isinstance(part, Reasoning)]
        assert thought.text == "Let me think."
        assert {seal.minted_by for seal in thought.seals} == {None}
        assert [json.loads(seal.payload)["index"] for seal in thought.seals] == [0, 1]


def test_the_shape_of_a_stream() -> None:
    first, *deltas, finish, last = chunks(streamed(ANSWERS["text"]))
    assert first["choices"] == [
        {"index": 0, "delta": {"role": "assistant"}, "finish_reason": None, "logprobs": None}
    ]
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in deltas).endswith("Paris. 🥐")
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert last["choices"] == []
    assert last["usage"]["credits_used"] == 2400
    for chunk in (first, *deltas, finish, last):
        assert chunk["id"] == "gen-abc123"
        assert chunk["object"] == "chat.completion.chunk"
        assert chunk["created"] == 1719000000
    assert all("usage" not in chunk for chunk in (first, *deltas, finish))


def test_tool_call_deltas_count_calls_and_name_them_once() -> None:
    deltas = [
        call
        for chunk in chunks(streamed(ANSWERS["text and interleaved tools"]))
        for choice in chunk["choices"]
        for call in choice["delta"].get("tool_calls", ())
    ]
    assert [call["index"] for call in deltas] == [0, 1, 0, 1, 0, 1]
    assert [call.get("id") for call in deltas] == ["call_1", "call_2", None, None, None, None]
    assert deltas[0] == {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": "a", "arguments": ""},
    }
    assert deltas[2] == {"index": 0, "function": {"arguments": "{"}}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_relayed_stream_ends_as_a_rendered_one(name: str) -> None:
    """A renderer that saw no delta, because the provider's frames went out raw, still ends the answer."""
    renderer = SURFACE.renderer(asked(stream=True))
    for event in (STARTED, *ANSWERS[name]):
        if isinstance(event, Started | PartStarted | PartFinished):
            renderer.feed(event)
    finish, last = chunks(renderer.finish(reason_of(ANSWERS[name]), BILL))
    assert finish["choices"][0]["finish_reason"] == reason_of(ANSWERS[name])
    assert last["usage"]["credits_used"] == 2400


def test_a_relayed_payload_is_one_frame() -> None:
    assert SURFACE.renderer(asked()).relay(b'{"a":1}') == b'data: {"a":1}\n\n'


def test_what_was_relayed_counts_for_what_is_rendered_after_it() -> None:
    beginning = (
        STARTED,
        PartStarted(0, "text"),
        TextDelta(0, "Hm"),
        PartStarted(1, "tool_call", id="c1", name="f"),
    )
    fed, saw = SURFACE.renderer(asked()), SURFACE.renderer(asked())
    for event in beginning:
        fed.feed(event)
        if not isinstance(event, TextDelta):
            saw.seen(event)
    rest = (ArgumentsDelta(1, "{}"), PartStarted(2, "tool_call", id="c2", name="g"), ArgumentsDelta(2, "[]"))
    assert [saw.feed(event) for event in rest] == [fed.feed(event) for event in rest]


def test_a_renderer_refuses_what_the_grammar_forbids() -> None:
    renderer = SURFACE.renderer(asked())
    with pytest.raises(ValueError, match="before it started"):
        renderer.finish("stop", BILL)
    with pytest.raises(ValueError, match="finish and fail"):
        renderer.feed(Finished("stop", None))


@pytest.mark.parametrize("bill", [None, BILL])
def test_a_broken_stream_never_looks_ended(bill: Bill | None) -> None:
    renderer = SURFACE.renderer(asked(stream=True))
    came = b"".join(renderer.feed(event) for event in (STARTED, *text(0, "The cap")))
    failure = renderer.fail(ProviderUnavailable(cause="secret upstream words"), bill)
    assert b"[DONE]" not in failure
    assert b"secret" not in failure
    told = json.loads(failure.removeprefix(b"data: "))
    assert told["error"] == {
        "message": "Service temporarily unavailable",
        "type": "server_error",
        "param": None,
        "code": "service_unavailable",
    }
    assert ("usage" in told) == (bill is not None)
    if bill:
        assert told["usage"]["credits_used"] == 2400
    with client_reading(came + failure, "text/event-stream") as client:
        stream = client.chat.completions.create(**HELLO, stream=True)
        with pytest.raises(APIError, match="Service temporarily unavailable"):
            list(stream)


def test_a_stream_may_fail_before_it_started() -> None:
    assert SURFACE.renderer(asked()).fail(ProviderUnavailable(cause="x"), None).startswith(b'data: {"error"')
