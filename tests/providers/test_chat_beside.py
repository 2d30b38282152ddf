"""What servers put beside calls and messages: how it is told, whatever form it has, and what of it, once it
has been in a caller's hands, goes back."""

import json
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantized.core.errors import InvalidValue
from quantized.core.events import Event, Finished, Sealed
from quantized.core.fold import fold
from quantized.core.parts import AnyPart, Reasoning, Seal, Text, ToolCall
from quantized.core.request import GenerationRequest, Message
from quantized.providers.openai_chat.dialect import Dialect
from quantized.providers.openai_chat.provider import OpenAIChatProvider
from quantized.providers.openrouter import openrouter
from quantized.providers.provider import Target

Json = dict[str, Any]
SERVER = OpenAIChatProvider("server", "http://server.test/v1")
REQUEST = GenerationRequest(model="m", messages=(), stream=True)
SIGNED = {"google": {"thought_signature": "c2lnbmVk"}}
OTHER = {"google": {"more": [1]}, "vertex": {}}


def call(index: int | None = 0, **fields: Any) -> Json:
    place = {} if index is None else {"index": index}
    return {"tool_calls": [{**place, **fields}]}


def named(call_id: str | None = "c1", **fields: Any) -> Json:
    said = {} if call_id is None else {"id": call_id}
    return {**said, "type": "function", "function": {"name": "f", "arguments": "{}"}, **fields}


def streamed(*deltas: Json) -> list[Event]:
    decoder = SERVER.decoder(REQUEST)
    chunk = {"id": "g", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    told: list[Event] = []
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    for choice in (*choices, {"index": 0, "delta": {}, "finish_reason": "stop"}):
        frame = b"data: " + json.dumps({**chunk, "choices": [choice]}).encode() + b"\n\n"
        told += [event for _, events in decoder.feed(frame) for event in events]
    told += [event for _, events in decoder.feed(b"data: [DONE]\n\n") for event in events]
    assert isinstance(told[-1], Finished)
    return told


def whole_body(message: Json) -> bytes:
    choice = {"message": message, "finish_reason": "stop"}
    return json.dumps({"id": "g", "model": "m", "created": 1, "choices": [choice]}).encode()


def whole(message: Json) -> list[Event]:
    told = list(SERVER.decode_body(REQUEST, whole_body(message)))
    assert isinstance(told[-1], Finished)
    return told


def blocks(events: list[Event]) -> list[Json]:
    return [json.loads(event.seal.payload) for event in events if isinstance(event, Sealed)]


def sent(*parts: AnyPart, provider: Any = SERVER) -> Json:
    request = GenerationRequest(
        model="m", messages=(Message("user", (Text("Hi"),)), Message("assistant", parts))
    )
    message: Json = json.loads(provider.encode(request, Target("m", None)).body)["messages"][1]
    return message


def again(events: list[Event]) -> Json:
    """The answer as it goes back."""
    parts: list[Any] = [
        part if isinstance(part, Reasoning | ToolCall) else Text(part.text)  # type: ignore[union-attr]
        for part in fold(events).parts
    ]
    return sent(*parts)


def beside(message: Json) -> list[Any]:
    calls = message.get("tool_calls") or []
    return [message.get("extra_content"), *[one.get("extra_content") for one in calls]]


SPREAD = {
    "with the call": [call(**named(extra_content=SIGNED))],
    "after the call": [call(**named()), call(extra_content=SIGNED)],
    "before its name": [call(id="c1", extra_content=SIGNED), call(**named())],
    "with every piece": [
        call(**named(extra_content=SIGNED)),
        call(function={"arguments": " "}, extra_content=SIGNED),
        call(function={"arguments": " "}, extra_content=SIGNED),
    ],
    "behind it, by itself": [call(None, **named()), call(None, extra_content=SIGNED)],
    "without an index": [call(None, **named(extra_content=SIGNED))],
}


@pytest.mark.parametrize("deltas", SPREAD.values(), ids=SPREAD)
def test_wherever_it_comes_it_is_told_once_and_goes_back(deltas):
    events = streamed(*deltas)
    (block,) = blocks(events)
    assert block == {
        "type": "reasoning.encrypted",
        "format": "extra_content",
        "provider": "server",
        "data": json.dumps(SIGNED),
        "index": 0,
        "id": "c1",
    }
    assert beside(again(events)) == [None, SIGNED]


def test_what_comes_in_pieces_is_put_together():
    later = {"google": {"thought_signature": "bmV3"}}
    events = streamed(*(call(**fields) for fields in (named(extra_content=SIGNED), {"extra_content": OTHER})))
    assert beside(again(events)) == [None, {"google": {**SIGNED["google"], "more": [1]}, "vertex": {}}]
    events = streamed({"content": "a", "extra_content": SIGNED}, {"extra_content": later})
    assert beside(again(events)) == [later]


def test_a_mark_on_every_piece_of_a_text_is_told_once():
    mark = {"google": {"thought": True}}
    events = streamed(
        *[{"content": "a", "extra_content": mark}] * 50, {"content": "b", "extra_content": SIGNED}
    )
    assert [json.loads(block["data"]) for block in blocks(events)] == [mark, SIGNED]
    assert beside(again(events)) == [{"google": {"thought": True, "thought_signature": "c2lnbmVk"}}]


@pytest.mark.parametrize("read", [whole, streamed], ids=["whole", "streamed"])
def test_each_of_several_calls_has_its_own(read):
    """Also where two have one id, or none: then by the ids that are told."""
    ids = ["a", "a", None, "b"]
    put = [{"n": n} for n in range(4)]
    said = [named(one, extra_content=extra) for one, extra in zip(ids, put, strict=True)]
    if read is streamed:
        said = [{"index": n, **one} for n, one in enumerate(said)]
    events = read({"tool_calls": said})
    assert beside(again(events)) == [None, *put]
    assert len({block["id"] for block in blocks(events)}) == 4
    assert [block["index"] for block in blocks(events)] == [0, 1, 2, 3]


@pytest.mark.parametrize("read", [whole, streamed], ids=["whole", "streamed"])
def test_the_indices_are_behind_those_of_the_servers_own_blocks(read):
    own = [{"type": "reasoning.text", "text": "a", "index": 3}, {"type": "x", "index": "y"}]
    events = read({"reasoning_details": own, "tool_calls": [{"index": 0, **named(extra_content=SIGNED)}]})
    payloads = [event.seal.payload for event in events if isinstance(event, Sealed)]
    assert json.loads(payloads[0]) == own
    assert json.loads(payloads[1])["index"] == 4


NOTHING = [None, {}, " ", "text", 7, True, [], [SIGNED]]


@pytest.mark.parametrize("index", ["1e999", "[" * 200 + "]" * 200, '"x"', "null", "-5", "0.5"])
def test_the_servers_own_may_be_numbered_as_it_likes(index):
    body = whole_body({"reasoning_details": "OWN", "tool_calls": [named(extra_content=SIGNED)]})
    body = body.replace(b'"OWN"', b'[{"type":"x","index":' + index.encode() + b"}]")
    events = list(SERVER.decode_body(REQUEST, body))
    assert isinstance(events[-1], Finished)
    (last,) = [event.seal.payload for event in events if isinstance(event, Sealed)][1:]
    assert json.loads(last)["index"] == 0


@pytest.mark.parametrize("extra", NOTHING, ids=repr)
@pytest.mark.parametrize("read", [whole, streamed], ids=["whole", "streamed"])
def test_what_is_no_object_cannot_come_back_and_is_not_told(read, extra):
    plain = read({"content": "a", "tool_calls": [{"index": 0, **named()}]})
    odd = read(
        {"content": "a", "tool_calls": [{"index": 0, **named(extra_content=extra)}], "extra_content": extra}
    )
    assert odd == plain


def test_nor_is_what_would_be_refused_for_its_depth():
    deep: Any = {}
    for _ in range(40):
        deep = {"a": deep}
    assert blocks(whole({"tool_calls": [named(extra_content=deep)]})) == []
    shallow = whole({"tool_calls": [named(extra_content=json.loads('{"a":' * 20 + "1" + "}" * 20))]})
    assert again(shallow)["tool_calls"][0]["extra_content"]


def block(**fields: Any) -> Json:
    told = {
        "type": "reasoning.encrypted",
        "format": "extra_content",
        "provider": "server",
        "data": json.dumps(SIGNED),
        "index": 0,
        "id": "c1",
    }
    return {name: value for name, value in {**told, **fields}.items() if value is not ...}


def handed(*said: Json, maker: str | None = "server") -> Reasoning:
    """As a chat surface reads them back."""
    return Reasoning(None, tuple(Seal(maker, "reasoning_details", json.dumps(one).encode()) for one in said))


CALL = ToolCall("c1", "f", "{}")


def test_a_block_is_known_by_what_it_says():
    assert beside(sent(handed(block()), CALL)) == [None, SIGNED]
    assert beside(sent(CALL, handed(block()))) == [None, SIGNED]
    assert beside(sent(handed(block(id=...)), Text("a"), CALL)) == [SIGNED, None]
    assert beside(sent(handed(block(id=None, index=...)), Text("a"))) == [SIGNED]
    assert beside(sent(handed(block(id="gone")), CALL)) == [None, None], "its call is not there any more"
    for provider, maker in ((SERVER, "other"), (SERVER, None), (openrouter("k"), "server")):
        message = sent(handed(block(), maker=maker), CALL, provider=provider)
        assert "reasoning_details" not in message
        assert beside(message) == [None, None]


def test_of_a_server_that_has_its_reasoning_back_each_block_goes_its_way():
    own = {"type": "reasoning.encrypted", "data": "x", "index": 0}
    dialect = Dialect(reasoning_field="reasoning", replays_details=True)
    both = OpenAIChatProvider("server", "http://server.test/v1", dialect=dialect)
    seals = (*handed(own, maker=None).seals, *handed(block(index=1)).seals)
    message = sent(Reasoning("Hm.", seals), CALL, provider=both)
    assert message["reasoning_details"] == [own]
    assert message["reasoning"] == "Hm."
    assert beside(message) == [None, SIGNED]
    message = sent(Reasoning("Hm.", seals[1:]), CALL, provider=both)
    assert "reasoning_details" not in message
    assert message["reasoning"] == "Hm."


FORGED = [
    {"data": ...},
    {"data": None},
    {"data": 7},
    {"data": SIGNED},
    {"data": ""},
    {"data": "x"},
    {"data": "[]"},
    {"data": '"x"'},
    {"data": '{"a":1} {"b":2}'},
    {"data": '{"a":1'},
    {"data": '{"a":1e999}'},
    {"data": '{"a":' * 2_000 + "1" + "}" * 2_000},
    {"data": '{"a":' + "[" * 40 + "]" * 40 + "}"},
    {"data": '{"a":[' + "[]," * 300_000 + "[]]}"},
    {"id": 7},
    {"id": ["c1"]},
    {"type": "reasoning.text"},
    {"type": ...},
]


@pytest.mark.parametrize("fields", FORGED, ids=lambda fields: repr(fields)[:40])
def test_what_was_not_written_like_that_is_refused_by_its_name(fields):
    with pytest.raises(InvalidValue) as refused:
        sent(handed(block(**fields)), CALL)
    assert refused.value.param == "messages[1].reasoning_details"
    assert "'server'" in str(refused.value)


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.just("c1"))
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
told = st.one_of(anything, anything.map(json.dumps), st.dictionaries(st.text(), anything).map(json.dumps))
forged = st.fixed_dictionaries(
    {},
    optional={
        "type": st.one_of(st.just("reasoning.encrypted"), anything),
        "format": st.one_of(st.just("extra_content"), anything),
        "provider": st.just("server"),
        "index": anything,
        "id": st.one_of(st.just("c1"), anything),
        "data": told,
    },
)


@settings(max_examples=150, deadline=None)
@given(st.lists(forged, max_size=4))
def test_whatever_is_forged_is_sent_or_refused(said):
    try:
        message = sent(handed(*said), CALL)
    except InvalidValue as fault:
        assert fault.param == "messages[1].reasoning_details"
        return
    assert all(extra is None or isinstance(extra, dict) for extra in beside(message))
    assert message.keys() <= {"role", "content", "tool_calls", "extra_content"}


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text(), anything, min_size=1))
def test_whatever_object_it_is_it_goes_back_as_it_was(extra):
    """Of any key and any text, and as it was written."""
    events = whole({"tool_calls": [named(extra_content=extra)]})
    assert beside(again(events)) == [None, extra]
    assert [one["data"] for one in blocks(events)] == [json.dumps(extra)]


def test_time_grows_with_what_there_is_to_read():
    def took(count: int) -> float:
        calls = [ToolCall(f"c{n}", "f", "{}") for n in range(count)]
        said = [block(id=f"c{n}", data=json.dumps({"a": {str(n): "x"}})) for n in range(count)]
        said += [block(id="c0", data=json.dumps({"a": {str(n): "x"}})) for n in range(count)]
        thought = handed(*said)
        began = process_time()
        sent(thought, *calls)
        return process_time() - began

    took(100)
    assert took(4_000) < 40 * max(took(400), 0.005)


def test_nor_is_a_server_that_never_says_the_same_a_burden():
    def took(count: int) -> float:
        own = {"reasoning_details": [{"type": "x", "index": n} for n in range(count)]}
        deltas = [call(extra_content={"a": str(n)}) for n in range(count)]
        began = process_time()
        streamed(own, call(**named()), *deltas)
        return process_time() - began

    took(100)
    assert took(4_000) < 40 * max(took(400), 0.005)


def test_a_signature_of_a_megabyte_is_one_like_others():
    large = {"google": {"thought_signature": "A" * 2**20}}
    events = streamed(call(**named(extra_content=large)))
    assert beside(again(events)) == [None, large]


@pytest.mark.parametrize("brings", ["nothing", "the first", "the second"])
def test_what_stands_in_for_it_stands_beside_the_first_call_of_a_message_that_brings_none(brings):
    stand_in = OpenAIChatProvider(
        "server", "http://server.test/v1", dialect=Dialect(unsigned_calls='{"x": "nobody"}')
    )
    found = {"nothing": (), "the first": (handed(block()),), "the second": (handed(block(id="c2")),)}[brings]
    message = sent(*found, CALL, ToolCall("c2", "g", "{}"), provider=stand_in)
    assert (
        beside(message)
        == {
            "nothing": [None, {"x": "nobody"}, None],
            "the first": [None, SIGNED, None],
            "the second": [None, None, SIGNED],
        }[brings]
    )
    assert beside(sent(Text("a"), provider=stand_in)) == [None]
