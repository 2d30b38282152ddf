"""A whole response: every field the contract lists and OpenAI's schema wants, and how it is read back."""

import json
from typing import Any

import msgspec
import pytest
from openai.types.responses import ResponseItem
from openai.types.responses.response_item_list import ResponseItemList
from pydantic import TypeAdapter
from responses_samples import (
    ANSWERS,
    BILL,
    IDENTITY,
    STARTED,
    SURFACE,
    check_response,
    client_reading,
    conversation,
    streamed,
    taped_answer,
    text,
)

from quantized.core.errors import InvalidRequest
from quantized.core.events import Finished
from quantized.core.fold import fold
from quantized.core.turns import Found, Turn
from quantized.core.usage import Bill, Usage
from quantized.surfaces.responses.render import Identity
from quantized.surfaces.responses.stored import Page, read_page, render_deleted, render_input_items

PLACE = {"type": "approximate", "city": "Paris", "country": None, "region": None, "timezone": None}


def whole(name: str = "text", **fields: Any) -> tuple[Turn, dict[str, Any]]:
    answer = fold([STARTED, *ANSWERS[name], Finished("stop", BILL.usage)])
    turn = SURFACE.turn(conversation(**fields), IDENTITY, answer, 0)
    return turn, json.loads(SURFACE.render(turn, BILL))


def test_the_whole_object():
    _, body = whole()
    assert body == {
        "id": "resp-0a1b2c",
        "object": "response",
        "created_at": 1_719_000_000,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": None,
        "max_tool_calls": None,
        "metadata": {},
        "model": "openai/gpt-4.1-mini",
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "prompt_cache_key": None,
        "reasoning": {"effort": None, "summary": None},
        "safety_identifier": None,
        "service_tier": None,
        "store": True,
        "temperature": None,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_logprobs": None,
        "top_p": None,
        "truncation": "disabled",
        "user": None,
        "frequency_penalty": None,
        "presence_penalty": None,
        "output": [
            {
                "id": "msg-0a1b2c-0",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [
                    {
                        "type": "output_text",
                        "text": "The capital of France is Paris. 🥐",
                        "annotations": [],
                        "logprobs": [],
                    }
                ],
            }
        ],
        "usage": {
            "input_tokens": 25,
            "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 0},
            "output_tokens": 8,
            "output_tokens_details": {"reasoning_tokens": 3},
            "total_tokens": 33,
            "credits_used": 2400,
            "credits_remaining": 997_600,
        },
    }


def test_what_was_asked_is_told():
    function = {"type": "function", "name": "f", "description": None, "parameters": {"a": 1}, "strict": True}
    nested = {"type": "function", "function": {"name": "g"}}
    search = {"type": "web_search", "search_context_size": "low", "user_location": PLACE}
    _, body = whole(
        instructions="Be brief.",
        max_output_tokens=9,
        temperature=0.5,
        top_p=1,
        frequency_penalty=1,
        presence_penalty=-1,
        tools=[function, search, nested],
        tool_choice={"type": "function", "function": {"name": "g"}},
        parallel_tool_calls=False,
        reasoning={"effort": "low", "exclude": False},
        previous_response_id="resp_before",
    )
    check_response(body)
    told = {
        "instructions": "Be brief.",
        "max_output_tokens": 9,
        "temperature": 0.5,
        "top_p": 1,
        "frequency_penalty": 1,
        "presence_penalty": -1,
        "tools": [
            function,
            search,
            {"type": "function", "name": "g", "description": None, "parameters": None, "strict": None},
        ],
        "tool_choice": {"type": "function", "name": "g"},
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low", "summary": None, "exclude": False},
        "previous_response_id": "resp-before",
    }
    assert {name: body[name] for name in told} == told


@pytest.mark.parametrize("name", ANSWERS)
def test_every_answer_is_one_of_openais_own(name):
    _, body = whole(name)
    read = check_response(body)
    assert [item.type for item in read.output] == [item["type"] for item in body["output"]]


def test_the_sdk_reads_a_whole_answer():
    turn, _ = whole("tools")
    with client_reading(SURFACE.render(turn, BILL), "application/json") as client:
        created = client.responses.create(model="m", input="Hi")
        read = client.responses.retrieve(turn.id)
    assert created.id == read.id == IDENTITY.id
    assert [item.type for item in read.output] == ["function_call", "function_call"]
    assert read.usage is not None
    assert read.usage.total_tokens == 33


def test_usage_in_all_its_buckets():
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
    turn, _ = whole()
    usage = json.loads(SURFACE.render(turn, Bill(used, 9, None, estimated=True)))["usage"]
    assert usage == {
        "input_tokens": 31,
        "input_tokens_details": {
            "cached_tokens": 2,
            "cache_write_tokens": 12,
            "cache_write_1h_tokens": 8,
            "audio_tokens": 16,
        },
        "output_tokens": 480,
        "output_tokens_details": {"reasoning_tokens": 64, "audio_tokens": 128, "image_tokens": 256},
        "total_tokens": 511,
        "credits_used": 9,
        "credits_remaining": None,
        "web_searches": 3,
        "estimated": True,
    }


def test_images_keep_their_format_and_audio_its_words():
    _, body = whole("images")
    assert [(item["result"], item.get("output_format")) for item in body["output"]] == [
        ("AA==", "png"),
        ("https://a.example/b.png", None),
        ("data:image/tiff;base64,AA==", None),
    ]
    assert whole("audio")[1]["output"][0]["content"][0]["text"] == "Hello"


def test_a_response_that_is_not_stored_says_so():
    identity = Identity("resp-1", 0, stored=False)
    turn = SURFACE.turn(conversation(), identity, taped_answer("openai_plain"), 0)
    assert json.loads(SURFACE.render(turn, BILL))["store"] is False


def test_what_is_stored_reads_back_the_same_after_it_went_through_bytes():
    turn, body = whole("reasoning")
    kept = msgspec.json.decode(msgspec.json.encode(turn), type=Turn)
    assert json.loads(SURFACE.render(kept, BILL)) == body
    assert SURFACE.render(kept, BILL) == SURFACE.render(turn, BILL)


INPUT = [
    {"role": "user", "content": "Hi"},
    {"role": "system", "content": [{"type": "input_text", "text": "s"}]},
    {
        "role": "user",
        "content": [
            {"type": "input_image", "image_url": "https://a.example/b.png"},
            {"type": "input_file", "file_id": "file-1", "filename": "a.pdf"},
        ],
    },
    {"type": "reasoning", "id": "rs-1", "summary": [{"type": "summary_text", "text": "Hm"}]},
    {"role": "assistant", "content": "Well."},
    {
        "role": "assistant",
        "content": [
            {"type": "output_text", "text": "a", "annotations": []},
            {"type": "refusal", "refusal": "no"},
            {"type": "input_text", "text": "b"},
        ],
    },
    {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
    {"type": "web_search_call"},
    {"type": "image_generation_call", "result": "AA==", "output_format": "png"},
    {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
    {"type": "function_call_output", "call_id": "call_1", "output": "7"},
    {"type": "function_call_output", "call_id": "call_1", "output": [{"type": "input_text", "text": "7"}]},
]


def stored(items: list[Any]) -> Turn:
    asked = SURFACE.parse(json.dumps({"model": "m", "input": items}).encode())
    return SURFACE.turn(SURFACE.compose(asked, Found()), IDENTITY, taped_answer("openai_plain"), 0)


def test_input_items_are_openais_own_with_ids_of_their_own():
    turn = stored(INPUT)
    item_type: TypeAdapter[Any] = TypeAdapter(ResponseItem)
    for item, given in zip(turn.input, INPUT, strict=True):
        read = item_type.validate_json(bytes(item.json), strict=True)
        assert read.type == given.get("type", "message")
        assert read.id == item.id
    assert len({item.id for item in (*turn.input, *turn.output)}) == len(INPUT) + 1
    assert [item.call_id for item in turn.input if item.call_id] == ["call_1"]
    assert [message for item in turn.input for message in item.messages] != []


def test_a_string_is_one_message():
    turn, _ = whole()
    (item,) = turn.input
    assert json.loads(bytes(item.json)) == {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "Hi"}],
        "status": "completed",
        "id": "msg-0a1b2c-i0",
    }


def page(turn: Turn, **query: str) -> dict[str, Any]:
    body = render_input_items(turn, read_page(query))
    ResponseItemList.model_validate_json(body, strict=True)
    return json.loads(body)


def test_pages_of_input_items():
    turn = stored([{"role": "user", "content": str(n)} for n in range(25)])
    ids = [item.id for item in turn.input]
    usual = page(turn)
    assert [item["id"] for item in usual["data"]] == ids[:4:-1]
    assert (usual["first_id"], usual["last_id"], usual["has_more"]) == (ids[24], ids[5], True)
    rest = page(turn, after=usual["last_id"])
    assert [item["id"] for item in rest["data"]] == ids[4::-1]
    assert rest["has_more"] is False
    first = page(turn, order="asc", limit="1")
    assert ([item["id"] for item in first["data"]], first["has_more"]) == (ids[:1], True)
    assert page(turn, order="asc", after=ids[24]) == {
        "object": "list",
        "data": [],
        "first_id": "",
        "last_id": "",
        "has_more": False,
    }


def test_the_sdk_lists_input_items():
    turn = stored(INPUT)
    with client_reading(render_input_items(turn, Page()), "application/json") as client:
        listed = client.responses.input_items.list(turn.id, limit=20).data
    assert [item.id for item in listed] == [item.id for item in turn.input[::-1]]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "ten"}, "limit"),
        ({"limit": "²"}, "limit"),
        ({"order": "up"}, "order"),
        ({"include": "x"}, "include"),
        ({"after": "msg-nobody"}, "after"),
    ],
)
def test_a_page_that_cannot_be(query, name):
    turn = stored(INPUT)
    with pytest.raises(InvalidRequest) as caught:
        render_input_items(turn, read_page(query))
    assert caught.value.param == name


def test_a_deletion():
    assert json.loads(render_deleted("resp-1")) == {"id": "resp-1", "object": "response", "deleted": True}
    with client_reading(render_deleted("resp-1"), "application/json") as client:
        client.responses.delete("resp-1")


def test_the_order_of_output_is_the_order_of_the_model():
    _, turn = streamed(ANSWERS["text and interleaved tools"])
    kinds = [json.loads(bytes(item.json))["type"] for item in turn.output]
    assert kinds == ["message", "function_call", "function_call"]
    _, turn = streamed([*ANSWERS["tools"], *text(2, "Done.")])
    kinds = [json.loads(bytes(item.json))["type"] for item in turn.output]
    assert kinds == ["function_call", "function_call", "message"]
