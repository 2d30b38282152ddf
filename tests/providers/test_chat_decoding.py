"""What the tapes do not show: single quirks, usage in every shape, the frame that is read without parsing."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantized.core.events import (
    ArgumentsDelta,
    Event,
    Failed,
    Finished,
    PartStarted,
    TextDelta,
)
from quantized.core.fold import Answer, fold
from quantized.core.parts import OutputText, ToolCall
from quantized.core.request import GenerationRequest, WebSearch
from quantized.core.usage import Usage
from quantized.providers.openai_chat.decode import StreamDecoder, decode_body
from quantized.providers.openai_chat.provider import OpenAIChatProvider
from quantized.providers.openrouter import openrouter

HEAD = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
REQUEST = GenerationRequest(model="m", messages=())


def frame(delta: dict[str, Any] | None = None, finish: str | None = None, **rest: Any) -> bytes:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": finish}
    return b"data: " + json.dumps({**HEAD, "choices": [choice], **rest}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
END = frame({}, "stop") + DONE


def decode(stream: bytes) -> list[Event]:
    decoder = StreamDecoder("named", "m")
    return [e for _, events in decoder.feed(stream) for e in events] + list(decoder.close())


def calls(*deltas: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    frames = b"".join(frame({"tool_calls": delta}) for delta in deltas)
    answer = fold(decode(frames + frame({}, "tool_calls") + DONE))
    return [(part.id, part.name, part.arguments) for part in answer.parts if isinstance(part, ToolCall)]


def call(arguments: Any = None, *, name: str | None = None, **rest: Any) -> dict[str, Any]:
    return {**rest, "function": {"name": name, "arguments": arguments}}


def test_a_call_without_an_index_is_told_by_its_id():
    assert calls(
        [call("{", name="f", id="a")],
        [call("[", name="g", id="b")],
        [call("}", id="a")],
        [call("]")],
    ) == [("a", "f", "{}"), ("b", "g", "[]")]


def test_calls_that_are_all_number_0():
    assert calls(
        [call('{"x":', name="f", index=0, id="a")],
        [call("1}", index=0)],
        [call('{"y":', name="f", index=0, id="b")],
        [call("2}", index=0)],
    ) == [("a", "f", '{"x":1}'), ("b", "f", '{"y":2}')]


def test_an_id_and_a_name_in_every_delta_are_one_call():
    assert calls([call("{", name="f", index=0, id="a")], [call("}", name="f", index=0, id="a")]) == [
        ("a", "f", "{}")
    ]


def test_a_call_without_an_id_gets_one_and_always_the_same():
    first, second = (calls([call("{}", name="f"), call("{}", name="f")]) for _ in range(2))
    assert first == second
    assert len({call_id for call_id, _, _ in first}) == 2
    assert all(call_id.startswith("call_") for call_id, _, _ in first)


def test_arguments_that_are_an_object_and_a_name_that_is_late():
    assert calls([call({"a": 1}, name="f", index=0, id="x")]) == [("x", "f", '{"a":1}')]
    assert calls([call("{", index=0, id="x")], [call("}", name="f", index=0)]) == [("x", "f", "{}")]


def test_the_older_way_to_call_a_function():
    events = decode(
        frame({"function_call": {"name": "f", "arguments": "{"}})
        + frame({"function_call": {"arguments": "}"}})
        + frame({}, "function_call")
        + DONE
    )
    answer = fold(events)
    assert answer.finish == "tool_calls"
    (part,) = answer.parts
    assert isinstance(part, ToolCall)
    assert (part.name, part.arguments) == ("f", "{}")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("end_turn", "stop"),
        ("eos", "stop"),
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("tool_calls", "tool_calls"),
        ("tool_use", "tool_calls"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("SAFETY", "content_filter"),
        ("error", None),
        ("abort", None),
        ("something_new", None),
    ],
)
def test_finish_reasons_are_openais_or_failures(said, meant):
    ended = decode(frame({"content": "a"}) + frame({}, said) + DONE)[-1]
    if meant is None:
        assert isinstance(ended, Failed)
        assert said in (ended.fault.cause or "")
    else:
        assert isinstance(ended, Finished)
        assert ended.reason == meant


def test_an_answer_that_calls_ends_for_its_calls():
    """Some servers say that they stopped, and whoever goes by the reason would leave the call unanswered."""
    called = [{**call("{}", name="f"), "index": 0, "id": "a"}]
    streamed = fold(decode(frame({"tool_calls": called}) + END))
    choice = {"index": 0, "message": {"tool_calls": called}, "finish_reason": "stop"}
    whole = fold(decode_body("named", "m", json.dumps({**HEAD, "choices": [choice]}).encode()))
    assert streamed.finish == whole.finish == "tool_calls"
    assert fold(decode(frame({"tool_calls": called}) + frame({}, "length") + DONE)).finish == "length"


def test_an_empty_finish_reason_is_none():
    answer = fold(decode(frame({"content": "a"}, "") + frame({"content": "b"}, "") + END))
    assert answer.parts == (OutputText("ab"),)


def test_nothing_is_read_after_the_end_mark():
    events = decode(frame({"content": "a"}) + END + frame({"content": "late"}) + b"data: {\n\n")
    assert isinstance(events[-1], Finished)
    assert not any(isinstance(e, TextDelta) and e.text == "late" for e in events)


def test_an_end_mark_without_its_blank_line_is_one():
    assert isinstance(decode(frame({"content": "a"}) + frame({}, "stop") + b"data: [DONE]")[-1], Finished)


def test_other_choices_are_not_ours():
    other = {"index": 1, "delta": {"content": "x"}, "finish_reason": None}
    both = {**HEAD, "choices": [{"index": 0, "delta": {"content": "a"}}, other]}
    decoder = StreamDecoder("named", "m")
    ((payload, events),) = decoder.feed(b"data: " + json.dumps(both).encode() + b"\n\n")
    assert payload is None
    assert [e.text for e in events if isinstance(e, TextDelta)] == ["a"]


def test_a_frame_as_deep_as_the_sea_is_malformed():
    deep = b'{"choices":[{"index":0,"delta":{"annotations":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}}]}"
    decoder = StreamDecoder("named", "m")
    assert decoder.feed(b"data: " + deep + b"\n\n") == [(None, ())]
    assert decoder.malformed == 1
    (event,) = decode_body("named", "m", deep)
    assert isinstance(event, Failed)


def test_malformed_frames_are_counted_and_keep_the_answer_from_ending_well():
    decoder = StreamDecoder("named", "m")
    told = decoder.feed(frame({"content": "a"}) + b"data: {oops\n\n" + frame({"content": 7}) + END)
    events = [e for _, es in told for e in es]
    assert decoder.malformed == 2
    assert isinstance(events[-1], Failed)
    assert any(isinstance(e, TextDelta) for e in events)


def test_a_frame_without_end_fails_at_once():
    decoder = StreamDecoder("named", "m")
    told = [e for _ in range(20) for _, events in decoder.feed(b"x" * 2**20) for e in events]
    assert [type(e) for e in told] == [Failed]
    assert decoder.close() == ()


def test_what_was_counted_comes_with_the_failure():
    ended = decode(frame({"content": "a"}, usage={"prompt_tokens": 3, "completion_tokens": 1, "cost": 0.5}))[
        -1
    ]
    assert isinstance(ended, Failed)
    assert ended.usage == Usage(input=3, output=1)
    assert ended.cost == 500_000_000_000


def usage(
    reported: Any, request: GenerationRequest = REQUEST, provider: OpenAIChatProvider | None = None
) -> Answer:
    body = {
        **HEAD,
        "choices": [{"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}],
        "usage": reported,
    }
    provider = provider or OpenAIChatProvider("named", "http://a.test")
    return fold(provider.decode_body(request, json.dumps(body).encode()))


@pytest.mark.parametrize(
    "missing",
    [
        None,
        {},
        {"prompt_tokens": None},
        {"total_tokens": 5},
        # Of half a report nobody can say that the other half is nothing.
        {"prompt_tokens": 5},
        {"prompt_tokens": 5, "completion_tokens": None, "total_tokens": 5},
        {"prompt_tokens": 5, "total_tokens": 1_000_000},
        {"completion_tokens": 5, "total_tokens": 9},
    ],
)
def test_missing_usage_is_missing(missing):
    assert usage(missing).usage is None


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        ({"prompt_tokens": 0, "completion_tokens": 0}, Usage()),
        ({"prompt_tokens": 5, "completion_tokens": 2.0}, Usage(input=5, output=2)),
        (
            {
                "prompt_tokens": 100,
                "completion_tokens": 50,
                "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 20, "audio_tokens": 5},
                "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 4, "image_tokens": 6},
            },
            Usage(
                input=15,
                cached_read=60,
                cache_write=20,
                input_audio=5,
                output=10,
                reasoning=30,
                output_audio=4,
                output_image=6,
            ),
        ),
        # Details that do not fit into their totals.
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "prompt_tokens_details": {"cached_tokens": 12, "audio_tokens": 3},
                "completion_tokens_details": {"reasoning_tokens": 9},
            },
            Usage(cached_read=10, reasoning=5),
        ),
        # Thinking that was not counted as completion.
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 115,
                "completion_tokens_details": {"reasoning_tokens": 100},
            },
            Usage(input=10, output=5, reasoning=100),
        ),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 115},
            Usage(10, output=5, reasoning=100),
        ),
        # A completion of which only the total tells.
        ({"prompt_tokens": 10, "total_tokens": 115}, Usage(10, output=105)),
        # A total that nobody can mean, unless it is told what is in it.
        ({"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 1_000_000}, Usage(5, output=3)),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 3,
                "total_tokens": 200_008,
                "completion_tokens_details": {"reasoning_tokens": 200_000},
            },
            Usage(5, output=3, reasoning=200_000),
        ),
        # A prompt counted without its cache.
        (
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 55,
                "prompt_tokens_details": {"cached_tokens": 40},
            },
            Usage(input=10, cached_read=40, output=5),
        ),
        ({"prompt_tokens": -4, "completion_tokens": 5, "total_tokens": 1}, Usage(output=5)),
    ],
)
def test_buckets_are_disjoint_and_totals_the_providers(reported, expected):
    assert usage(reported).usage == expected


@pytest.mark.parametrize(("cap", "reasoning"), [(None, 90), (95, 90), (94, 0)])
def test_thinking_that_only_the_total_tells_is_within_the_output_cap(cap, reasoning):
    request = GenerationRequest(model="m", messages=(), max_output_tokens=cap)
    told = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 105}
    expected = Usage(input=10, output=5, reasoning=reasoning)
    assert usage(told, request).usage == expected
    decoder = OpenAIChatProvider("named", "http://a.test").decoder(request)
    (*_, (_, (*_, finished))) = decoder.feed(frame({"content": "a"}, "stop", usage=told) + DONE)
    assert isinstance(finished, Finished)
    assert finished.usage == expected


COUNTS = st.none() | st.integers(-5, 200)


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, COUNTS)
def test_no_report_gives_a_negative_count_or_loses_a_token(prompt, completion, total, c, w, a, r, o):
    reported = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": total,
        "prompt_tokens_details": {"cached_tokens": c, "cache_write_tokens": w, "audio_tokens": a},
        "completion_tokens_details": {"reasoning_tokens": r, "audio_tokens": o},
    }
    counted = usage(reported).usage
    if counted is None:
        assert prompt is None or completion is None
        return
    assert all(getattr(counted, bucket) >= 0 for bucket in counted.__struct_fields__)
    told = max(0, prompt or 0) + max(0, completion or 0)
    assert counted.input_total + counted.output_total == max(told, total or 0)


@pytest.mark.parametrize(
    ("cost", "pico"),
    [(0, 0), (0.95, 950_000_000_000), (1e-7, 100_000), (0.00014, 140_000_000), (-1, None), (None, None)],
)
def test_cost_in_pico_dollars(cost, pico):
    assert usage({"prompt_tokens": 1, "cost": cost}).cost == pico


def test_searches_are_the_reported_or_the_one_that_a_plugin_makes():
    search = GenerationRequest(model="m", messages=(), web_search=WebSearch())
    count = {"prompt_tokens": 1, "completion_tokens": 1}
    for told in ("server_tool_use_details", "server_tool_use"):
        counted = usage({**count, told: {"web_search_requests": 3}}, search, openrouter("key")).usage
        assert counted is not None
        assert counted.web_searches == 3
    silent = usage(count, search, openrouter("key")).usage
    assert silent is not None
    assert silent.web_searches == 1


@given(st.lists(st.text(max_size=8), max_size=8))
def test_the_usual_frame_is_read_as_a_parser_reads_it(texts):
    """One decoder that has seen the form of the frames, and for each frame one that has not."""
    known = StreamDecoder("named", "m")
    known.feed(frame({"role": "assistant"}) + frame({"content": "form"}))
    for text in texts:
        for ascii_only in (True, False):
            body = {**HEAD, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
            raw = (
                b"data: "
                + json.dumps(body, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
                + b"\n\n"
            )
            fresh = StreamDecoder("named", "m")
            fresh.feed(frame({"role": "assistant"}))
            heard, parsed = ([e for _, es in d.feed(raw) for e in es] for d in (known, fresh))
            assert heard == [e for e in parsed if not isinstance(e, PartStarted)]


@pytest.mark.parametrize("literal", [b'a"b', b"a\\", b"\xff", b"a\nb", b"\x01"])
def test_the_usual_frame_hides_nothing_that_is_no_text(literal):
    known = StreamDecoder("named", "m")
    form = b'data: {"id":"a","choices":[{"delta":{"content":"%s"}}]}\n\n'
    known.feed(form % b"hello" + form % b"again")
    assert known.malformed == 0
    assert known.feed(form % literal) == [(None, ())]
    assert known.malformed == 1


@given(st.binary(max_size=200))
def test_no_bytes_are_too_strange(data):
    events = decode(frame({"content": "a"}) + data)
    assert isinstance(events[-1], Failed)
    assert isinstance(list(decode_body("named", "m", data))[-1], Failed)


FIELDS = [
    "choices",
    "delta",
    "message",
    "content",
    "tool_calls",
    "index",
    "id",
    "function",
    "name",
    "arguments",
    "usage",
    "error",
    "code",
    "role",
    "finish_reason",
    "reasoning",
    "reasoning_details",
    "annotations",
    "images",
    "audio",
    "logprobs",
    "prompt_tokens",
]
SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(FIELDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(st.lists(SHAPES, max_size=4))
def test_no_json_is_too_strange(frames):
    stream = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in frames)
    events = decode(stream + END)
    assert isinstance(events[-1], Failed | Finished)
    assert not any(isinstance(e, Failed | Finished) for e in events[:-1])
    starts = [e for e in events if isinstance(e, PartStarted)]
    assert [e.index for e in starts] == list(range(len(starts)))
    assert all(e.index < len(starts) for e in events if isinstance(e, ArgumentsDelta))


SAYINGS: dict[str, st.SearchStrategy[Any]] = {
    "role": st.just("assistant"),
    "content": st.sampled_from(["Hello", "", None, [{"type": "text", "text": "Hi"}]]),
    "refusal": st.sampled_from([None, "", "No."]),
    "reasoning": st.sampled_from([None, "", "Hm."]),
    "reasoning_content": st.sampled_from([None, "", "Hm."]),
    "reasoning_details": st.sampled_from([None, [], [{"type": "reasoning.text", "text": "Hm."}]]),
    "tool_calls": st.sampled_from([None, [], [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]]),
    "function_call": st.sampled_from([None, {"name": "f", "arguments": "{}"}]),
    "annotations": st.sampled_from([None, [], [{"type": "url_citation"}]]),
    "images": st.sampled_from([None, [], [{"image_url": {"url": "data:image/png;base64,AA=="}}]]),
    "audio": st.sampled_from([None, {"id": "a", "data": "AA==", "transcript": "Hi", "expires_at": 1}]),
}
ENDINGS = ["stop", "STOP", "length", "tool_calls", "error", "unheard_of", "", None]
COUNTS = st.sampled_from([None, 0, 1, 7, 2.0])
USAGES = st.none() | st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), COUNTS),
        "prompt_tokens_details": st.none() | st.dictionaries(st.sampled_from(["cached_tokens"]), COUNTS),
        "cost": st.sampled_from([None, 0.25]),
    },
)


def unplain(answer: dict[str, Any]) -> bytes:
    """The same, with a field beside it that says nothing and is no part of the usual form."""
    return json.dumps({**answer, "choices": [{**c, "logprobs": {}} for c in answer["choices"]]}).encode()


def told(body: bytes) -> list[object]:
    """Two faults are never equal, what they say is."""
    events = decode_body("named", "m", body)
    return [(repr(e.fault), vars(e.fault), e.usage, e.cost) if isinstance(e, Failed) else e for e in events]


@given(
    st.fixed_dictionaries({}, optional=SAYINGS),
    st.sampled_from(ENDINGS),
    st.sampled_from([{}, {"index": 1}, {"error": {"message": "boom"}}, {"delta": {"content": "Hi"}}]),
    USAGES,
    st.sampled_from([{}, {"id": None, "model": None, "created": None}, {"error": {"message": "boom"}}]),
)
def test_the_usual_answer_means_what_a_closer_look_finds(said, ending, beside, usage, head):
    choice = {"index": 0, "message": said, "finish_reason": ending, **beside}
    answer = {**HEAD, "choices": [choice], "usage": usage, **head}
    assert told(json.dumps(answer).encode()) == told(unplain(answer))


@pytest.mark.parametrize("cached", [{}, {"prompt_tokens_details": None}, {"prompt_cache_hit_tokens": 0}])
@pytest.mark.parametrize("total", [{}, {"total_tokens": None}, {"total_tokens": 15}, {"total_tokens": 9}])
@pytest.mark.parametrize("details", [{}, {"completion_tokens_details": {"reasoning_tokens": 0}}])
def test_two_counts_and_nothing_within_them(cached, total, details):
    usage = {"prompt_tokens": 12, "completion_tokens": 3, **cached, **total, **details}
    choice = {"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}
    answer = fold(decode_body("named", "m", json.dumps({"choices": [choice], "usage": usage}).encode()))
    assert answer.usage == Usage(input=12, output=3)


# Two calls that are hard to tell apart, and names in pieces


def whole_calls(*told: dict[str, Any]) -> list[tuple[str, str, str]]:
    choice = {"index": 0, "message": {"tool_calls": list(told)}, "finish_reason": "tool_calls"}
    answer = fold(decode_body("named", "m", json.dumps({**HEAD, "choices": [choice]}).encode()))
    return [(part.id, part.name, part.arguments) for part in answer.parts if isinstance(part, ToolCall)]


@pytest.mark.parametrize("numbers", [({}, {}), ({"index": 0}, {"index": 0}), ({"index": 0}, {"index": 1})])
def test_each_call_of_a_whole_answer_is_one_of_its_own(numbers):
    pair = [call("{}", name=name, id="a", **number) for name, number in zip("fg", numbers, strict=True)]
    first, second = whole_calls(*pair)
    assert (first, second[1:]) == (("a", "f", "{}"), ("g", "{}"))
    assert second[0].startswith("call_")
    assert whole_calls(*pair) == [first, second]


def test_two_streamed_calls_with_one_id_are_told_apart_by_their_index():
    deltas = (
        [call("", name="f", index=0, id="a"), call("", name="g", index=1, id="a")],
        [call('{"x":', index=0), call('{"y":', index=1)],
        [call("1}", index=0, id="a"), call("2}", index=1, id="a")],
    )
    first, second = calls(*deltas)
    assert (first, second[1:]) == (("a", "f", '{"x":1}'), ("g", '{"y":2}'))
    assert second[0] not in {"", "a"}
    assert calls(*deltas) == [first, second]


def test_a_call_that_goes_on_under_another_number_is_the_same():
    assert calls([call("{", name="f", index=0, id="a")], [call("}", index=1, id="a")]) == [("a", "f", "{}")]


@pytest.mark.parametrize(
    "pieces",
    [
        ["get_weather"],
        ["get_", "weather"],
        ["get_", None, "weather"],
        ["get_weather", "get_weather", "get_weather"],
        ["get_", "get_weather"],
    ],
)
@pytest.mark.parametrize("arguments", ["", None])
def test_a_name_may_come_in_pieces_or_again_and_again(pieces, arguments):
    named = [[call(arguments, name=name, index=0, id="a")] for name in pieces]
    assert calls(*named, [call("{}", index=0)]) == [("a", "get_weather", "{}")]


def test_calls_without_arguments_keep_their_order():
    assert calls(
        [call("", name="f", index=0, id="a")],
        [call("", name="g", index=1, id="b")],
        [call("{}", name="h", index=2, id="c")],
        [call(None, name="i", index=3, id="d")],
    ) == [("a", "f", ""), ("b", "g", ""), ("c", "h", "{}"), ("d", "i", "")]


# What is said beside an answer


SIDE: list[dict[str, Any]] = [
    {"id": {}},
    {"id": [1]},
    {"model": 5},
    {"created": "1719000000"},
    {"created": True},
    {"system_fingerprint": 5},
    {"error": ""},
    {"error": {}},
    {"error": False},
    {"error": []},
    {"usage": []},
    {"usage": ""},
    {"usage": 5},
    {"usage": "many"},
    {"usage": {"prompt_tokens": "many", "completion_tokens": 3}},
    {"usage": {"prompt_tokens": 12, "completion_tokens": True}},
    {"usage": {"prompt_tokens": 1e300, "completion_tokens": 3}},
]
COUNTED = {"prompt_tokens": 12, "completion_tokens": 3}
SIDE_OF_USAGE: list[dict[str, Any]] = [
    {"cost": {"total_cost": 0.1}},
    {"cost": True},
    {"cost": "much"},
    {"total_tokens": "15"},
    {"prompt_tokens_details": []},
    {"prompt_tokens_details": "none"},
    {"completion_tokens_details": {"reasoning_tokens": "x"}},
    {"server_tool_use": 5},
]
SIDE_OF_CHOICE: list[dict[str, Any]] = [
    {"logprobs": []},
    {"logprobs": "x"},
    {"logprobs": {"content": 5}},
    {"error": {}},
    {"error": ""},
]
SIDE_OF_MESSAGE: list[dict[str, Any]] = [
    {"role": 5},
    {"reasoning": {"text": "Hm."}},
    {"reasoning_details": {}},
    {"reasoning_details": [5, "x", None]},
    {"annotations": {}},
    {"annotations": ["x"]},
    {"refusal": False},
    {"refusal": []},
    {"tool_calls": {}},
    {"tool_calls": ""},
    {"images": ""},
    {"audio": []},
    {"audio": ""},
    {"function_call": []},
]


def heard(head: dict[str, Any], beside: dict[str, Any], said: dict[str, Any]) -> list[Answer]:
    """An answer that says `Hi`, whole and streamed."""
    message = {"role": "assistant", "content": "Hi", **said}
    choice = {"index": 0, "message": message, "finish_reason": "stop", **beside}
    body = json.dumps({**HEAD, "choices": [choice], **head}).encode()
    piece = {"index": 0, "delta": message, "finish_reason": None, **beside}
    stream = b"data: " + json.dumps({**HEAD, "choices": [piece], **head}).encode() + b"\n\n" + END
    return [fold(decode_body("named", "m", body)), fold(decode(stream))]


@pytest.mark.parametrize(
    ("head", "beside", "said"),
    [
        *[(head, {}, {}) for head in SIDE],
        *[({}, beside, {}) for beside in SIDE_OF_CHOICE],
        *[({}, {}, said) for said in SIDE_OF_MESSAGE],
    ],
)
def test_what_cannot_be_read_beside_an_answer_was_not_said(head, beside, said):
    for answer in heard(head, beside, said):
        assert answer.parts == (OutputText("Hi"),)
        assert answer.finish == "stop"
        assert answer.usage is None


@pytest.mark.parametrize("odd", SIDE_OF_USAGE)
def test_counts_are_believed_whatever_is_beside_them(odd):
    for answer in heard({"usage": {**COUNTED, **odd}}, {}, {}):
        assert answer.usage == Usage(input=12, output=3)
        assert answer.cost is None


@pytest.mark.parametrize(
    "said",
    [
        {"content": 5},
        {"content": {"text": "Hi"}},
        {"tool_calls": "f"},
        {"tool_calls": [{"function": {"name": 5}}]},
        {"refusal": ["No."]},
        {"images": "x"},
        {"images": [{"image_url": {}}]},
        {"audio": "AA=="},
    ],
)
def test_what_an_answer_is_made_of_has_to_be_readable(said):
    choice = {"index": 0, "message": {"content": "Hi", **said}, "finish_reason": "stop"}
    *_, ended = decode_body("named", "m", json.dumps({**HEAD, "choices": [choice]}).encode())
    assert isinstance(ended, Failed)
    assert isinstance(decode(frame({"content": "Hi", **said}) + END)[-1], Failed)


def test_an_answer_that_is_only_another_one_is_none():
    other = {"index": 1, "message": {"content": "B"}, "finish_reason": "stop"}
    (failed,) = decode_body("named", "m", json.dumps({**HEAD, "choices": [other]}).encode())
    assert isinstance(failed, Failed)
    stray = b"data: " + json.dumps({**HEAD, "choices": [{"index": 1, "delta": {"content": "B"}}]}).encode()
    for before, end in ((b"", END), (frame({"role": "assistant"}), END), (b"", DONE)):
        assert isinstance(decode(before + stray + b"\n\n" + end)[-1], Failed)
