"""Conversations with Anthropic's models: thoughts that return, searches, caches, names, other providers."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from anthropic_server import ANTHROPIC_KEY, AnthropicServer
from anthropic_server_answers import ANSWER, THOUGHT
from anthropic_server_answers import WEATHER as IT_IS
from anthropic_server_thoughts import dropped
from gateway_process import GatewayProcess
from hostile import Hostile
from openai import BadRequestError
from plain_http import HTTP
from sdk_talk import (
    ADAPTIVE,
    BUDGETED,
    WEATHER,
    Counts,
    Talk,
    cost,
    items,
    rates,
    result,
    sent,
    talking,
    user,
)

HIGH = {"effort": "high"}
QUESTION: list[Any] = ["do:think-tool"]


def last_answer(server: AnthropicServer, talk: Talk) -> list[dict[str, Any]]:
    """The content of the last assistant's turn that was sent."""
    turns = [m for m in sent(server, talk).body["messages"] if m["role"] == "assistant"]
    content: list[dict[str, Any]] = turns[-1]["content"]
    return content


@pytest.mark.parametrize("model", [BUDGETED, ADAPTIVE, "claude-opus-5-5"])
def test_a_tool_loop_keeps_its_thoughts(talk: Talk, messages_api: AnthropicServer, model: str) -> None:
    """The server knows its blocks again: any byte changed, or any block moved, would be refused."""
    more: dict[str, Any] = {"tools": [WEATHER], "reasoning": HIGH, "model": model}
    first = talk.ask(*QUESTION, **more)
    assert first.reasoning == THOUGHT
    assert talk.again(QUESTION, first, result(first.calls[0]), **more).text == IT_IS
    assert [block["type"] for block in last_answer(messages_api, talk)] == ["thinking", "text", "tool_use"]
    if talk.surface == "responses":
        continued = talk.go_on(first, result(first.calls[0]), **more)
        assert continued.text == IT_IS
        assert [block["type"] for block in last_answer(messages_api, talk)] == [
            "thinking",
            "text",
            "tool_use",
        ]
        later = talk.go_on(continued, user("do:plain"), **more)
        assert later.text == ANSWER
        assert [block["type"] for block in last_answer(messages_api, talk)] == ["thinking", "text"]


def test_thoughts_that_are_not_shown_return_on_responses(talk: Talk, messages_api: AnthropicServer) -> None:
    more: dict[str, Any] = {"tools": [WEATHER], "reasoning": HIGH | {"exclude": True}}
    if talk.surface == "responses":
        # The package has no name for it.
        more["extra_body"] = {"reasoning": more.pop("reasoning")}
    first = talk.ask(*QUESTION, **more)
    assert first.reasoning is None
    assert THOUGHT[:10] not in json.dumps(first.said)
    if talk.surface == "responses":
        assert talk.go_on(first, result(first.calls[0]), **more).text == IT_IS
        assert last_answer(messages_api, talk)[0]["type"] == "thinking"


@pytest.mark.parametrize(
    "edit",
    [
        lambda said: said.replace("One moment.", "Wait."),
        lambda said: said.replace("One moment.", "One moment, please: I look it up."),
    ],
)
def test_an_edited_history_is_no_error_and_moves_no_thought(
    talk: Talk, messages_api: AnthropicServer, edit: Callable[[str], str]
) -> None:
    question: list[Any] = ["do:interleave"]
    more: dict[str, Any] = {"tools": [WEATHER], "reasoning": HIGH}
    first = talk.ask(*question, **more)
    edited = first._replace(said=json.loads(edit(json.dumps(first.said))))
    assert talk.again(question, edited, result(first.calls[0]), **more)
    content = last_answer(messages_api, talk)
    assert content[-1]["type"] == "tool_use"


def test_a_history_without_thoughts_is_no_error(talk: Talk, messages_api: AnthropicServer) -> None:
    """Another client's, or another provider's: nothing is forged in their place."""
    call = ("call|of:another", "get_weather", '{"city": "Paris"}')
    asked = {
        "role": "assistant",
        "content": "One moment.",
        "tool_calls": [
            {"id": call[0], "type": "function", "function": {"name": call[1], "arguments": call[2]}}
        ],
    }
    for model in (BUDGETED, ADAPTIVE):
        talk.ask("do:plain", asked, result(call), tools=[WEATHER], reasoning=HIGH, model=model)
        assert [block["type"] for block in last_answer(messages_api, talk)] == ["text", "tool_use"]


def test_another_provider_gets_no_seal(
    anthropic_gateway: GatewayProcess, messages_api: AnthropicServer, hostile: Hostile
) -> None:
    for surface in ("chat", "responses"):
        with talking(anthropic_gateway, surface, False, anthropic_gateway.licence("1000")) as talk:
            first = talk.ask(*QUESTION, tools=[WEATHER], reasoning=HIGH)
            other: dict[str, Any] = {
                "model": "hostile/plain",
                "extra_headers": {"x-quantized-provider": "hostile"},
            }
            answers = [talk.again(QUESTION, first, result(first.calls[0]), tools=[WEATHER], **other)]
            if surface == "responses":
                answers.append(talk.go_on(first, result(first.calls[0]), tools=[WEATHER], **other))
            for seen in hostile.seen(talk.licence.marker):
                assert b"signature" not in seen.raw and b"reasoning_details" not in seen.raw
                assert THOUGHT.encode()[:12] not in seen.raw
                [assistant] = [m for m in seen.body["messages"] if m["role"] == "assistant"]
                assert assistant.keys() == {"role", "content", "tool_calls"}
            assert len(hostile.seen(talk.licence.marker)) == len(answers)
            # Back at its maker's it is there again.
            if surface == "chat":
                talk.again(QUESTION, first, result(first.calls[0]), tools=[WEATHER], reasoning=HIGH)
                assert last_answer(messages_api, talk)[0]["type"] == "thinking"


@pytest.mark.parametrize(("script", "searches"), [("search", 1), ("search-three", 3)])
def test_a_search_is_cited_and_priced(
    talk: Talk,
    messages_api: AnthropicServer,
    anthropic_gateway: GatewayProcess,
    script: str,
    searches: int,
) -> None:
    heard = talk.ask(f"do:{script}", web_search_options={}, reasoning=HIGH)
    [tool] = sent(messages_api, talk).body["tools"]
    assert (tool["name"], tool["max_uses"]) == ("web_search", 5)
    assert ANSWER in heard.text
    for note in heard.annotations:
        assert heard.text[note["start_index"] : note["end_index"]] == ANSWER
    assert [(note["url"], note["title"]) for note in heard.annotations] == [
        ("https://example.com/1", "Page 1"),
        ("https://example.com/2", "Page 2"),
    ]
    rate = rates(anthropic_gateway, talk.licence, ADAPTIVE)
    assert rate["web_search"] == 10_000 * 1_000_000
    assert heard.counts.searches == searches
    assert heard.counts.credits == cost(rate, heard.counts) > searches * 10_000
    [hold] = anthropic_gateway.settled(talk.licence).holds
    # The prompt once, and for each search that may come the whole window once more.
    assert hold["amount"] >= 5 * (10_000 + rate["cache_write"]) > heard.counts.credits
    # What was found goes back to who found it.
    again = talk.again([f"do:{script}"], heard, user("do:plain"), web_search_options={}, reasoning=HIGH)
    assert again.text == ANSWER
    types = [block["type"] for block in last_answer(messages_api, talk)]
    assert types.count("server_tool_use") == types.count("web_search_tool_result") == searches


@pytest.mark.parametrize(
    ("script", "kinds"),
    [
        ("search-tool", ["thinking", "server_tool_use", "web_search_tool_result", "text", "tool_use"]),
        (
            "search-parted",
            ["server_tool_use", "web_search_tool_result", "text", "text", "text", "tool_use", "tool_use"],
        ),
        ("call-first", ["thinking", "tool_use", "text", "tool_use", "text"]),
    ],
)
def test_a_turn_comes_back_in_its_very_order_and_with_what_it_cites(
    talk: Talk, messages_api: AnthropicServer, script: str, kinds: list[str]
) -> None:
    """The server asks for every citation again, and for the order of what it thought and did."""
    question: list[Any] = [f"do:{script}"]
    more: dict[str, Any] = {"tools": [WEATHER], "web_search_options": {}, "reasoning": HIGH}
    first = talk.ask(*question, **more)
    results = [result(call) for call in first.calls]
    assert talk.again(question, first, *results, **more).text == IT_IS
    assert [block["type"] for block in last_answer(messages_api, talk)] == kinds
    if talk.surface == "responses":
        assert talk.go_on(first, *results, **more).text == IT_IS
        assert [block["type"] for block in last_answer(messages_api, talk)] == kinds


def test_a_seal_that_nobody_minted_is_refused_at_once(
    anthropic_gateway: GatewayProcess, messages_api: AnthropicServer
) -> None:
    near = {"type": "text", "length": -1, "check": 0}
    seal = {"type": "reasoning.text", "provider": "anthropic", "index": 1, "text": "x", "signature": "y"}
    forged = {"role": "assistant", "content": "abc", "reasoning_details": [{**seal, "before": [near]}]}
    with talking(anthropic_gateway, "chat", False, anthropic_gateway.licence("10")) as talk:
        with pytest.raises(BadRequestError) as refused:
            talk.ask("hi", forged, user("go"))
        assert refused.value.param == "messages[1].reasoning_details"
        assert messages_api.seen(talk.licence.marker) == []


def test_all_that_a_model_reads_while_it_searches_is_held_for(
    talk: Talk, messages_api: AnthropicServer, anthropic_gateway: GatewayProcess
) -> None:
    """It reads what it found again with each search, more in all than its window holds."""
    heard = talk.ask("do:search-large", web_search_options={}, model="claude-sonnet-4-5", max_tokens=1_000)
    assert heard.counts.prompt > 60_000 + 120_000 + 180_000
    rate = rates(anthropic_gateway, talk.licence, "claude-sonnet-4-5")
    assert heard.counts.credits == cost(rate, heard.counts)
    books = anthropic_gateway.settled(talk.licence)
    [hold] = books.holds
    assert hold["amount"] >= heard.counts.credits == books.licence["used"]
    assert sum(row["overrun"] for row in books.usage) == 0


def test_the_models_are_listed_with_their_rates(anthropic_gateway: GatewayProcess) -> None:
    licence = anthropic_gateway.licence("1000")
    with talking(anthropic_gateway, "chat", False, licence) as talk:
        listed = {model.id: model.model_dump() for model in talk.client.models.list().data}
        assert all(name.startswith("anthropic/") for name in listed)
        haiku = listed["anthropic/claude-haiku-4.5"]
        one = talk.client.models.retrieve("anthropic/claude-haiku-4.5").model_dump()
    assert one == haiku
    assert haiku["model_author"] == "anthropic"
    assert (haiku["context_window"], haiku["max_output_tokens"]) == (200_000, 64_000)
    assert haiku["input_modality"]["image"] is True
    assert {"tool_calls", "structured_output", "reasoning"} <= set(haiku["supported_features"])
    assert haiku["cost"]["input"] == 1
    assert {name: haiku["cost_per_million"][name] for name in _HAIKU} == _HAIKU


_HAIKU = {
    "input": 1_000_000,
    "cached_input": 100_000,
    "cache_write": 1_250_000,
    "cache_write_1h": 2_000_000,
    "output": 5_000_000,
    "web_search": 10_000_000_000,
}


@pytest.mark.parametrize(
    ("name", "sent_as"),
    [
        ("anthropic/claude-sonnet-4.5", "claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5-20250929"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4-20250514"),
        ("anthropic/claude-sonnet-4", "claude-sonnet-4-0"),
        ("anthropic/claude-3.5-haiku", "claude-3-5-haiku-latest"),
        ("claude-3-5-haiku-20241022", "claude-3-5-haiku-20241022"),
        ("claude-3-7-sonnet-latest", "claude-3-7-sonnet-latest"),
        ("anthropic/claude-opus-5.5", "claude-opus-5-5"),
    ],
)
def test_models_go_by_every_name_they_have(
    talk: Talk, messages_api: AnthropicServer, name: str, sent_as: str
) -> None:
    assert talk.ask("Hello", model=name).text == ANSWER
    assert sent(messages_api, talk).body["model"] == sent_as
    assert sent(messages_api, talk).headers["x-api-key"] == ANTHROPIC_KEY


def test_credits_are_the_published_rates_times_the_usage(
    talk: Talk, anthropic_gateway: GatewayProcess
) -> None:
    spent = 0
    for model in (
        "claude-3-haiku",
        "claude-haiku-4-5",
        "claude-opus-4-8",
        "claude-haiku-5-5",
        "claude-opus-5-5",
    ):
        rate = rates(anthropic_gateway, talk.licence, model)
        for script in ("plain", "long", "tool"):
            heard = talk.ask(f"do:{script}", model=model, tools=[WEATHER], max_tokens=200)
            assert heard.counts.credits == cost(rate, heard.counts) > 0
            spent += heard.counts.credits
    assert anthropic_gateway.settled(talk.licence, 15).licence["used"] == spent


@pytest.fixture(scope="module", params=["off", "continued", "always"])
def caching_gateway(
    request: pytest.FixtureRequest,
    make_gateway: Callable[..., GatewayProcess],
    running_messages_api: AnthropicServer,
) -> tuple[str, GatewayProcess]:
    gateway = make_gateway(
        f'[providers.anthropic]\ncaching = "{request.param}"',
        ANTHROPIC_API_KEY=ANTHROPIC_KEY,
        ANTHROPIC_BASE_URL=running_messages_api.url,
    )
    gateway.start()
    return request.param, gateway


@pytest.mark.parametrize("surface", ["chat", "responses"])
def test_ten_turns_with_automatic_caching(
    caching_gateway: tuple[str, GatewayProcess],
    messages_api: AnthropicServer,
    surface: str,
    record_property: Callable[[str, object], None],
) -> None:
    """Instructions of some 3,000 tokens, questions of some 300: what ten turns cost with each mode."""
    mode, gateway = caching_gateway
    with talking(gateway, surface, False, gateway.licence("1000")) as talk:
        rate = rates(gateway, talk.licence, ADAPTIVE)
        system = {"role": "system", "content": f"{talk.licence.marker} " + "Teach with patience. " * 570}
        turns: list[Any] = [system]
        told: list[Counts] = []
        for n in range(10):
            turns.append(user(f"do:plain {n} " + "What about this? " * 70))
            heard = talk.ask(*turns)
            turns.append({"role": "assistant", "content": heard.text})
            assert heard.counts.credits == cost(rate, heard.counts)
            told.append(heard.counts)
    total = sum(counts.credits for counts in told)
    prompt = sum(counts.prompt for counts in told)
    plain = sum(cost(rate, counts._replace(read=0, write=0)) for counts in told)
    record_property("credits", total)
    print(f"ten turns on {surface}, caching {mode}: {total} micro-credits of {plain} ({total / plain:.0%})")
    read = [counts.read for counts in told]
    match mode:
        case "off":
            assert not any(read) and total == plain
        case "continued":
            assert not told[0].write and told[1].write and all(read[2:])
            assert total < plain * 0.5
        case _:
            assert told[0].write and all(read[1:])
            assert total < plain * 0.5
    assert prompt > 40_000


def test_one_question_costs_nothing_extra_unless_always(
    caching_gateway: tuple[str, GatewayProcess], messages_api: AnthropicServer
) -> None:
    mode, gateway = caching_gateway
    with talking(gateway, "chat", False, gateway.licence("1000")) as talk:
        heard = talk.ask(
            {"role": "system", "content": f"{talk.licence.marker} " + "Be brief. " * 2_000}, "Hello"
        )
    assert bool(heard.counts.write) == (mode == "always")


def test_items_and_messages_are_the_same_conversation() -> None:
    """What the tests of both surfaces rest on."""
    assert items([user("a"), {"role": "tool", "tool_call_id": "c", "content": "d"}]) == [
        {"role": "user", "content": "a"},
        {"type": "function_call_output", "call_id": "c", "output": "d"},
    ]


def test_a_gateway_with_a_v1_too_many_in_its_settings_works(
    make_gateway: Callable[..., GatewayProcess], messages_api: AnthropicServer
) -> None:
    gateway = make_gateway(
        "",
        ANTHROPIC_API_KEY=ANTHROPIC_KEY,
        ANTHROPIC_BASE_URL=f"{messages_api.url}/v1",
    )
    gateway.start()
    licence = gateway.licence()
    body = {"model": "claude-haiku-4-5", "messages": [user(f"Hello {licence.marker}")]}
    headers = licence.headers | {"x-quantized-provider": "anthropic"}
    answer = HTTP.post(f"{gateway.url}/v1/chat/completions", json=body, headers=headers)
    assert answer.json()["choices"][0]["message"]["content"] == ANSWER


@pytest.mark.parametrize("model", ["claude-haiku-5-5", "claude-sonnet-5-5"])
def test_other_instructions_are_no_error_where_thinking_is_turned_off(
    talk: Talk, messages_api: AnthropicServer, model: str
) -> None:
    """There a model cannot be told to pass over what was thought behind other instructions: nothing of it
    may be sent."""
    more: dict[str, Any] = {"tools": [WEATHER], "model": model}
    first = talk.ask({"role": "system", "content": "Be brief."}, *QUESTION, **more)
    said: list[Any] = [{"role": "system", "content": "Be long."}, *QUESTION]
    others: list[dict[str, Any]] = [{"reasoning": {"effort": "none"}}]
    if model == "claude-haiku-5-5":
        others.append({"tool_choice": "required"})
    for other in others:
        talk.again(said, first, result(first.calls[0]), **more, **other)
        assert [block["type"] for block in last_answer(messages_api, talk)] == ["text", "tool_use"]
        if talk.surface == "responses":
            again = more | other | {"instructions": "Be kind."}
            talk.go_on(first, result(first.calls[0]), **again)
            assert [block["type"] for block in last_answer(messages_api, talk)] == ["text", "tool_use"]


def test_the_prompt_of_an_unchanged_conversation_keeps_its_thoughts(
    talk: Talk, messages_api: AnthropicServer
) -> None:
    more: dict[str, Any] = {"tools": [WEATHER], "model": "claude-haiku-5-5", "reasoning": HIGH}
    first = talk.ask(*QUESTION, **more)
    talk.again(QUESTION, first, result(first.calls[0]), **more)
    body = sent(messages_api, talk).body
    assert "thinking" in json.dumps(body["messages"])
    assert dropped(body) == 0
    talk.again([{"role": "system", "content": "Be kind."}, *QUESTION], first, result(first.calls[0]), **more)
    assert dropped(sent(messages_api, talk).body) == 1


@pytest.mark.parametrize("model", ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"])
def test_other_instructions_than_before_are_no_error(
    talk: Talk, messages_api: AnthropicServer, model: str
) -> None:
    """The newest models take thoughts back only behind the prompt that they were thought about."""
    more: dict[str, Any] = {"tools": [WEATHER], "model": model}
    first = talk.ask({"role": "system", "content": "Be brief."}, *QUESTION, **more)
    said = [{"role": "system", "content": "Be long."}, *QUESTION]
    assert talk.again(said, first, result(first.calls[0]), **more).text == IT_IS
    if talk.surface == "responses":
        told = {"role": "developer", "content": "Be kind."}
        assert talk.go_on(first, result(first.calls[0]), told, **more).text == IT_IS


def test_a_stored_conversation_goes_to_another_provider_and_comes_back(
    anthropic_gateway: GatewayProcess, messages_api: AnthropicServer, hostile: Hostile
) -> None:
    with talking(anthropic_gateway, "responses", False, anthropic_gateway.licence("1000")) as talk:
        first = talk.ask(*QUESTION, tools=[WEATHER], reasoning=HIGH)
        away = talk.go_on(
            first,
            result(first.calls[0]),
            tools=[WEATHER],
            model="hostile/rich",
            extra_headers={"x-quantized-provider": "hostile"},
        )
        assert THOUGHT.encode()[:12] not in hostile.seen(talk.licence.marker)[-1].raw
        back = talk.go_on(away, user("do:plain"), tools=[WEATHER], reasoning=HIGH)
        assert back.text == ANSWER
        turns = sent(messages_api, talk).body["messages"]
        assert [block["type"] for block in turns[1]["content"]] == ["thinking", "text", "tool_use"]
        assert not [block for block in turns[3]["content"] if "thinking" in block["type"]]


def test_thoughts_go_along_to_another_model_and_through_turns_without_any(
    talk: Talk, messages_api: AnthropicServer
) -> None:
    first = talk.ask(*QUESTION, tools=[WEATHER], reasoning=HIGH, model=ADAPTIVE)
    for more in ({"reasoning": HIGH, "model": BUDGETED}, {"model": BUDGETED}, {"model": "claude-opus-5"}):
        again = talk.again(QUESTION, first, result(first.calls[0]), tools=[WEATHER], **more)
        assert again.text == IT_IS
        assert last_answer(messages_api, talk)[-1]["type"] == "tool_use"
