"""The details of translation to the Messages API that gateways get wrong, on both surfaces, streamed or not.

The server refuses, as the API does, whatever breaks its rules; so most of a test is that there is an answer.
"""

import base64
import json
from typing import Any

import pytest
from anthropic_server import AnthropicServer
from anthropic_server_answers import ANSWER, EXPLANATION, SEARCH_INPUT, THOUGHT, reread
from anthropic_server_answers import WEATHER as IT_IS
from gateway_process import GatewayProcess
from openai import APIStatusError
from sdk_talk import ADAPTIVE, BUDGETED, WEATHER, Talk, cost, described, rates, result, sent, user

HIGH = {"effort": "high"}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n0000").decode()
PDF = base64.b64encode(b"%PDF-1.7 ...").decode()
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "warm": {"type": "boolean"}},
    "required": ["city", "warm"],
    "additionalProperties": False,
}


def refused(talk: Talk, api: AnthropicServer, *messages: Any, **more: Any) -> dict[str, Any]:
    """The error of a 400 that never reached the provider, and names it."""
    with pytest.raises(APIStatusError) as failed:
        talk.ask(*messages, **more)
    assert failed.value.status_code == 400
    assert api.seen(talk.licence.marker) == []
    error: dict[str, Any] = failed.value.body  # type: ignore[assignment]
    assert "anthropic" in error["message"]
    return error


def name_for(talk: Talk, chat: str, responses: str) -> str:
    return chat if talk.surface == "chat" else responses


def test_row_01_system_and_developer_messages_reach_the_system_field_in_order(
    talk: Talk, messages_api: AnthropicServer
) -> None:
    heard = talk.ask(
        {"role": "system", "content": "One."},
        "Hello",
        {
            "role": "developer",
            "content": [{"type": "text", "text": "Two."}, {"type": "text", "text": "Three."}],
        },
        {"role": "assistant", "content": "Yes?"},
        {"role": "system", "content": "Four."},
        user("Go on"),
    )
    assert heard.text == ANSWER
    body = sent(messages_api, talk).body
    assert [block["text"] for block in body["system"]] == ["One.", "Two.", "Three.", "Four."]
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("claude-opus-4-1-20250805", 32_000),
        (BUDGETED, 64_000),
        (ADAPTIVE, 128_000),
        ("claude-3-haiku-20240307", 4_096),
    ],
)
def test_row_02_max_tokens_defaults_to_the_limit_that_the_hold_was_priced_with(
    talk: Talk, messages_api: AnthropicServer, anthropic_gateway: GatewayProcess, model: str, limit: int
) -> None:
    talk.ask("Hello", model=model)
    assert sent(messages_api, talk).body["max_tokens"] == limit
    [hold] = anthropic_gateway.settled(talk.licence).holds
    entry = described(anthropic_gateway, talk.licence, model)
    assert entry["max_output_tokens"] == limit
    output = limit * entry["cost_per_million"]["output"] // 1_000_000
    assert output <= hold["amount"] < output * 1.2 + 2_000
    talk.ask("Hello", model=model, max_tokens=7)
    assert sent(messages_api, talk).body["max_tokens"] == 7


def test_row_03_turns_merge_and_parallel_results_come_first_in_one_turn(
    talk: Talk, messages_api: AnthropicServer
) -> None:
    question = ["do:parallel", user("Paris and Rome, please")]
    first = talk.ask(*question, tools=[WEATHER])
    assert [json.loads(call[2]) for call in first.calls] == [{"city": "Paris"}, {"city": "Rome"}]
    assert len(sent(messages_api, talk).body["messages"]) == 1
    one, two = (result(call, said) for call, said in zip(first.calls, ("18", "21"), strict=True))
    second = talk.again(question, first, two, one, user("In a word?"), tools=[WEATHER])
    assert second.text == IT_IS
    *_, asked, answered, last = sent(messages_api, talk).body["messages"]
    assert [asked["role"], answered["role"], last["role"]] == ["user", "assistant", "user"]
    assert [block["type"] for block in last["content"]] == ["tool_result", "tool_result", "text"]


def test_row_04_empty_arguments_are_an_empty_object(talk: Talk, messages_api: AnthropicServer) -> None:
    first = talk.ask("do:empty", tools=[WEATHER])
    [call] = first.calls
    assert call[2] == "{}"
    question: list[Any] = ["do:empty"]
    call_message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": call[0], "type": "function", "function": {"name": call[1], "arguments": ""}},
        ],
    }
    talk.ask(*question, call_message, result(call), tools=[WEATHER])
    assert sent(messages_api, talk).body["messages"][1]["content"][0]["input"] == {}
    assert talk.again(question, first, result(call), tools=[WEATHER]).text == IT_IS


@pytest.mark.parametrize(
    ("script", "cities"),
    [("tool", ["Paris"]), ("parallel", ["Paris", "Rome"]), ("think-tool", ["Paris"])],
)
def test_row_05_tool_calls_are_counted_from_0_and_told_once(
    talk: Talk, script: str, cities: list[str]
) -> None:
    heard = talk.ask(f"do:{script}", tools=[WEATHER], reasoning=HIGH)
    assert [call[1] for call in heard.calls] == ["get_weather"] * len(cities)
    assert [json.loads(call[2]) for call in heard.calls] == [{"city": city} for city in cities]
    assert len({call[0] for call in heard.calls}) == len(cities)
    if talk.surface == "chat" and talk.streams:
        deltas = [
            call
            for chunk in heard.chunks
            for choice in chunk["choices"]
            for call in choice["delta"].get("tool_calls") or ()
        ]
        assert [delta["index"] for delta in deltas if delta.get("id")] == list(range(len(cities)))
        named = [delta["index"] for delta in deltas if delta["function"].get("name")]
        assert named == list(range(len(cities)))
        assert {delta["index"] for delta in deltas} == set(range(len(cities)))
    elif talk.streams:
        added = [event for event in heard.chunks if event["type"] == "response.output_item.added"]
        assert [event["output_index"] for event in added] == list(range(len(added)))
        places = [e["output_index"] for e in added if e["item"]["type"] == "function_call"]
        written = [e for e in heard.chunks if e["type"] == "response.function_call_arguments.done"]
        assert [event["output_index"] for event in written] == places
        assert [json.loads(event["arguments"])["city"] for event in written] == cities
        for event in heard.chunks:
            if event["type"] == "response.function_call_arguments.delta":
                assert event["output_index"] in places


@pytest.mark.parametrize(
    ("script", "finish"),
    [
        ("plain", "stop"),
        ("pause", "stop"),
        ("tool", "tool_calls"),
        ("context", "length"),
        ("refusal", "content_filter"),
    ],
)
def test_row_06_stop_reasons(talk: Talk, script: str, finish: str) -> None:
    heard = talk.ask(f"do:{script}", tools=[WEATHER])
    assert heard.finish == finish
    if script == "refusal":
        assert EXPLANATION in json.dumps(heard.said)


def test_row_06_the_output_cap_and_a_stop_sequence(talk: Talk, messages_api: AnthropicServer) -> None:
    heard = talk.ask("Hello", max_tokens=3)
    assert (heard.finish, heard.counts.output) == ("length", 3)
    if talk.surface == "chat":
        stopped = talk.ask("Hello", stop=["France"])
        assert (stopped.finish, stopped.text) == ("stop", "The capital of ")
        assert sent(messages_api, talk).body["stop_sequences"] == ["France"]


def cached(ttl: str | None = None) -> dict[str, Any]:
    return {"type": "ephemeral"} | ({"ttl": ttl} if ttl else {})


def long_text(mark: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": f"{mark} " + "All that has to be known. " * 800, **more}


@pytest.mark.parametrize("ttl", [None, "5m", "1h"])
def test_rows_07_and_08_what_is_read_and_written_is_told_apart_and_charged(
    talk: Talk, messages_api: AnthropicServer, anthropic_gateway: GatewayProcess, ttl: str | None
) -> None:
    """Marks exist on chat completions alone; on responses the automatic ones do the same."""
    rate = rates(anthropic_gateway, talk.licence, ADAPTIVE)
    assert rate["cached_input"] * 10 == rate["input"]
    assert rate["cache_write"] * 4 == rate["input"] * 5
    assert rate["cache_write_1h"] == rate["input"] * 2
    if talk.surface == "chat":
        marked = user(
            [long_text(talk.licence.marker, cache_control=cached(ttl)), {"type": "text", "text": "Yes?"}]
        )
        wrote, read = (talk.ask(marked) for _ in range(2))
    else:
        turns = [
            user(long_text(talk.licence.marker)["text"]),
            {"role": "assistant", "content": "A"},
            user("B"),
        ]
        wrote, read = (talk.ask(*turns) for _ in range(2))
    assert (wrote.counts.read, read.counts.write) == (0, 0)
    assert wrote.counts.write == read.counts.read > 4_000
    assert wrote.counts.write_1h == (wrote.counts.write if ttl == "1h" and talk.surface == "chat" else 0)
    assert wrote.counts.prompt == read.counts.prompt >= wrote.counts.write
    assert wrote.counts.credits == cost(rate, wrote.counts)
    assert read.counts.credits == cost(rate, read.counts) < wrote.counts.credits / 8
    assert (
        anthropic_gateway.settled(talk.licence, 2).licence["used"]
        == wrote.counts.credits + read.counts.credits
    )


def test_row_09_the_last_usage_replaces_the_first(
    talk: Talk, messages_api: AnthropicServer, anthropic_gateway: GatewayProcess
) -> None:
    heard = talk.ask("do:search", web_search_options={})
    first = messages_api.cache.count(
        sent(messages_api, talk).body, messages_api.model_of(sent(messages_api, talk))
    )
    assert heard.counts.prompt == first.fresh + reread(first, [SEARCH_INPUT]) > 12_000
    assert heard.counts.searches == 1
    rate = rates(anthropic_gateway, talk.licence, ADAPTIVE)
    assert heard.counts.credits == cost(rate, heard.counts)


def test_row_10_pings_and_unknown_events_are_ignored_and_an_error_fails(talk: Talk) -> None:
    assert talk.ask("Hello").text == ANSWER
    if not talk.streams:
        return
    with pytest.raises(Exception, match="temporarily unavailable") as failed:
        talk.ask("do:error-event")
    assert "Overloaded" not in str(failed.value)


@pytest.mark.parametrize("model", [BUDGETED, ADAPTIVE])
@pytest.mark.parametrize("script", ["think-tool", "interleave", "redacted", "empty-think", "search-tool"])
def test_row_11_thoughts_go_back_as_they_came(
    talk: Talk, messages_api: AnthropicServer, script: str, model: str
) -> None:
    more: dict[str, Any] = {"tools": [WEATHER], "reasoning": HIGH, "model": model}
    if script == "search-tool":
        more["web_search_options"] = {}
    question: list[Any] = [f"do:{script}"]
    heard = talk.ask(*question, **more)
    if script != "empty-think":
        assert THOUGHT in (heard.reasoning or "")
    before = question
    for _ in range(2):
        if not heard.calls:
            break
        results = [result(call) for call in heard.calls]
        again = talk.again(before, heard, *results, **more)
        assistant = sent(messages_api, talk).body["messages"][-2]["content"]
        assert any("thinking" in block["type"] for block in assistant)
        before = [*before, *heard.said, *results] if talk.surface == "chat" else before
        if talk.surface == "responses":
            continued = talk.go_on(heard, *results, **more)
            assert sent(messages_api, talk).body["messages"][-2]["content"] == assistant
            assert continued.text == again.text
            break
        heard = again


def test_row_12_forced_tools_and_thinking(talk: Talk, messages_api: AnthropicServer) -> None:
    named = {"type": "function", "function": {"name": "get_weather"}}
    for choice in ("required", named):
        error = refused(talk, messages_api, "Hello", tools=[WEATHER], tool_choice=choice, reasoning=HIGH)
        assert "tool_choice" in error["message"] and "reasoning" in error["message"]
    for choice, wire in (
        ("auto", {"type": "auto"}),
        ("none", {"type": "none"}),
        ("required", {"type": "any"}),
        (named, {"type": "tool", "name": "get_weather"}),
    ):
        heard = talk.ask("Hello", tools=[WEATHER], tool_choice=choice)
        assert sent(messages_api, talk).body["tool_choice"] == wire
        assert bool(heard.calls) == (wire["type"] in ("any", "tool"))


def test_row_13_no_parallel_calls(talk: Talk, messages_api: AnthropicServer) -> None:
    heard = talk.ask("do:parallel", tools=[WEATHER], parallel_tool_calls=False)
    assert len(heard.calls) == 1
    assert sent(messages_api, talk).body["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    assert len(talk.ask("do:parallel", tools=[WEATHER], parallel_tool_calls=True).calls) == 2


def test_row_14_a_temperature_above_1_never_leaves(talk: Talk, messages_api: AnthropicServer) -> None:
    error = refused(talk, messages_api, "Hello", model=BUDGETED, temperature=1.5)
    assert error["param"] == "temperature"
    talk.ask("Hello", model=BUDGETED, temperature=0.5)
    assert sent(messages_api, talk).body["temperature"] == 0.5


def test_row_15_what_models_refuse_is_refused_before_it_is_sent(
    talk: Talk, messages_api: AnthropicServer
) -> None:
    ask = {"model": BUDGETED}
    assert refused(talk, messages_api, "a", **ask, temperature=0.5, top_p=0.5)["param"] == "top_p"
    assert refused(talk, messages_api, "a", **ask, temperature=0.5, reasoning=HIGH)["param"] == "temperature"
    assert refused(talk, messages_api, "a", **ask, top_p=0.5, reasoning=HIGH)["param"] == "top_p"
    for name in ("temperature", "top_p"):
        assert refused(talk, messages_api, "a", model=ADAPTIVE, **{name: 0.5})["param"] == name
    prefill = [user("a"), {"role": "assistant", "content": "The"}]
    assert refused(talk, messages_api, *prefill)["param"] == name_for(talk, "messages", "input")
    open_end = [prefill[0], {"role": "assistant", "content": "The "}]
    error = refused(talk, messages_api, *open_end, **ask)
    assert error["param"] == name_for(talk, "messages[1].content[0]", "input[1]")
    talk.ask(*prefill, model=BUDGETED)
    assert sent(messages_api, talk).body["messages"][-1]["content"] == [{"type": "text", "text": "The"}]


def test_row_16_budgets_for_some_and_efforts_for_others(talk: Talk, messages_api: AnthropicServer) -> None:
    for effort in ("low", "medium", "high"):
        for cap in ({}, {"max_tokens": 1_025}, {"max_tokens": 2_000}, {"max_tokens": 10_000}):
            heard = talk.ask("do:think", model=BUDGETED, reasoning={"effort": effort}, **cap)
            body = sent(messages_api, talk).body
            assert body["thinking"]["type"] == "enabled"
            assert 1_024 <= body["thinking"]["budget_tokens"] < body["max_tokens"]
            assert (heard.reasoning, heard.text) == (THOUGHT, ANSWER)
        heard = talk.ask("do:think", model=ADAPTIVE, reasoning={"effort": effort})
        body = sent(messages_api, talk).body
        assert body["thinking"]["type"] == "adaptive" and "budget_tokens" not in body["thinking"]
        assert body["output_config"]["effort"] == effort
        assert (heard.reasoning, heard.text) == (THOUGHT, ANSWER)
    small = {"reasoning": HIGH, "max_tokens": 1_000, "model": BUDGETED}
    talk.licence = talk.licence._replace(marker=f"{talk.licence.marker}-small")
    error = refused(talk, messages_api, "a", **small)
    assert error["param"].startswith(("reasoning", "max"))


def test_row_17_at_most_four_marks(talk: Talk, messages_api: AnthropicServer) -> None:
    turns: list[Any] = []
    for n in range(12):
        turns += [user(long_text(f"{n}")["text"]), {"role": "assistant", "content": f"{n}"}]
    talk.ask({"role": "system", "content": long_text("s")["text"]}, *turns, "Go on", tools=[WEATHER])
    assert 1 <= sent(messages_api, talk).raw.count(b'"cache_control"') <= 4
    if talk.surface == "chat":
        own = [{"type": "text", "text": f"{n}", "cache_control": cached()} for n in range(4)]
        talk.ask(*turns, user(own))
        assert sent(messages_api, talk).raw.count(b'"cache_control"') == 4
        talk.licence = talk.licence._replace(marker=f"{talk.licence.marker}-five")
        error = refused(talk, messages_api, user([*own, own[0]]))
        assert error["param"].startswith("messages[0].content[4]")


def test_row_18_images_by_data_and_by_url(talk: Talk, messages_api: AnthropicServer) -> None:
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"}},
    ]
    assert talk.ask(user(parts)).text == ANSWER
    sources = [block.get("source") for block in sent(messages_api, talk).body["messages"][0]["content"]]
    assert sources[1:4] == [
        {"type": "base64", "media_type": "image/png", "data": PNG},
        {"type": "url", "url": "https://example.com/a.png"},
        {"type": "base64", "media_type": "application/pdf", "data": PDF},
    ]
    talk.licence = talk.licence._replace(marker=f"{talk.licence.marker}-others")
    for url in ("http://example.com/a.png", "data:image/tiff;base64,SUkqAA=="):
        error = refused(talk, messages_api, user([{"type": "image_url", "image_url": {"url": url}}]))
        assert error["param"].startswith(name_for(talk, "messages[0].content[0]", "input[0]"))
        assert f"'{error['param']}'" in error["message"]


def test_row_19_a_strict_tool_knows_no_more_of_schemas(talk: Talk, messages_api: AnthropicServer) -> None:
    counted = {"type": "object", "properties": {"days": {"type": "integer", "maximum": 7}}}
    function = {"name": "get_weather", "strict": True, "parameters": counted}
    error = refused(talk, messages_api, "Hello", tools=[{"type": "function", "function": function}])
    assert error["param"] == name_for(talk, "tools[0].function.parameters.properties.days.maximum", "tools")
    assert "parameters.properties.days.maximum" in error["message"]
    function["strict"] = False
    talk.ask("Hello", tools=[{"type": "function", "function": function}])
    assert sent(messages_api, talk).body["tools"][0]["input_schema"] == counted


def test_row_19_json_schema_is_native_or_refused(talk: Talk, messages_api: AnthropicServer) -> None:
    if talk.surface == "responses":
        # The surface has no field for it, and says so by name.
        with pytest.raises(APIStatusError) as failed:
            talk.ask("Hello", text={"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}})
        assert failed.value.status_code in (400, 422)
        assert messages_api.seen(talk.licence.marker) == []
        return
    wanted = {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA, "strict": True}}
    narrow = {"type": "object", "properties": {"city": {"type": "string", "minLength": 2}}}
    error = refused(
        talk,
        messages_api,
        "Hello",
        response_format={"type": "json_schema", "json_schema": {"name": "weather", "schema": narrow}},
    )
    assert error["param"] == "response_format.json_schema.schema.properties.city.minLength"
    old = "claude-sonnet-4-20250514"
    assert (
        refused(talk, messages_api, "Hello", response_format=wanted, model=old)["param"] == "response_format"
    )
    for model in (BUDGETED, ADAPTIVE):
        heard = talk.ask("Hello", response_format=wanted, model=model)
        assert json.loads(heard.text) == {"city": "Paris", "warm": True}
        told = sent(messages_api, talk).body["output_config"]["format"]
        assert told == {"type": "json_schema", "schema": SCHEMA}
