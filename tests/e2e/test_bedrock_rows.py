"""The details of translation to Converse that gateways get wrong, on both surfaces, streamed or not.

The server refuses, as the API does, whatever breaks its rules; so most of a test is that there is an answer.
"""

import base64
import json
from typing import Any

import pytest
from anthropic_server_answers import ANSWER, THOUGHT
from anthropic_server_answers import WEATHER as IT_IS
from bedrock_server import BedrockServer
from bedrock_server_models import PROFILE
from gateway_process import GatewayProcess
from openai import APIStatusError
from sdk_talk import WEATHER, Talk, cost, described, rates, result, sent, user

CLAUDE, NEWER = "anthropic/claude-sonnet-4.5", "anthropic/claude-opus-4.8"
NOVA, NOVA_2, LLAMA = "amazon/nova-lite", "amazon/nova-2-lite", "meta/llama3-3-70b-instruct"
MISTRAL, DEEPSEEK, GPT_OSS = "mistral/mistral-large-3-675b-instruct", "deepseek/r1", "openai/gpt-oss-120b"
ALL = (CLAUDE, NEWER, NOVA, NOVA_2, LLAMA, MISTRAL, DEEPSEEK, GPT_OSS)
CALLING = tuple(model for model in ALL if model != DEEPSEEK)
HIGH = {"effort": "high"}
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n0000").decode()
PDF = base64.b64encode(b"%PDF-1.7 ...").decode()
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "warm": {"type": "boolean"}},
    "required": ["city", "warm"],
    "additionalProperties": False,
}


def refused(converse: Talk, bedrock: BedrockServer, *messages: Any, **more: Any) -> dict[str, Any]:
    """The error of a 400 that never reached the provider, and names it."""
    before = len(bedrock.seen(converse.licence.marker))
    with pytest.raises(APIStatusError) as failed:
        converse.ask(*messages, **more)
    assert failed.value.status_code == 400
    assert len(bedrock.seen(converse.licence.marker)) == before
    error: dict[str, Any] = failed.value.body  # type: ignore[assignment]
    assert "bedrock" in error["message"]
    return error


def cached(ttl: str | None = None) -> dict[str, Any]:
    return {"type": "ephemeral"} | ({"ttl": ttl} if ttl else {})


def long_text(mark: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": f"{mark} " + "All that has to be known. " * 800, **more}


def images(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def test_a_word_with_each_family(converse: Talk, bedrock: BedrockServer) -> None:
    for model in ALL:
        heard = converse.ask({"role": "system", "content": "Be brief."}, "Hello", model=model)
        assert (heard.text, heard.finish) == (ANSWER, "stop")
        assert sent(bedrock, converse).body["system"] == [{"text": "Be brief."}]


def test_row_20_the_usage_that_comes_after_the_end_is_told_and_charged(
    converse: Talk, bedrock_gateway: GatewayProcess, bedrock: BedrockServer
) -> None:
    spent = 0
    asked = (*ALL, PROFILE)
    for model in asked:
        counts = converse.ask("Hello", model=model).counts
        assert counts.prompt > 5 and counts.output == len(ANSWER.split())
        assert counts.credits == cost(rates(bedrock_gateway, converse.licence, model, "bedrock"), counts) > 0
        spent += counts.credits
    books = bedrock_gateway.settled(converse.licence, len(asked))
    assert books.licence["used"] == spent
    assert {(row["outcome"], row["estimated"]) for row in books.usage} == {("completed", 0)}


def test_row_20_an_answer_that_is_never_counted_is_estimated(
    bedrock_gateway: GatewayProcess, converse: Talk, bedrock: BedrockServer
) -> None:
    if not converse.streams:
        return
    heard = converse.ask("do:uncounted", model=NOVA)
    assert (heard.text, heard.finish) == (ANSWER, "stop")
    [row] = bedrock_gateway.settled(converse.licence).usage
    assert (row["outcome"], row["estimated"]) == ("completed", 1)


@pytest.mark.parametrize("script", ["tool", "parallel", "empty"])
def test_rows_21_and_22_texts_without_a_start_and_calls_counted_from_0(
    converse: Talk, bedrock: BedrockServer, script: str
) -> None:
    for model in CALLING:
        heard = converse.ask(f"do:{script}", tools=[WEATHER], model=model)
        assert heard.finish == "tool_calls"
        wanted = {"tool": ['{"city": "Paris"}'], "empty": ["{}"]}
        wanted["parallel"] = ['{"city": "Paris"}', '{"city": "Rome"}']
        assert [json.loads(call[2]) for call in heard.calls] == [json.loads(one) for one in wanted[script]]
        assert heard.text == ("One moment." if script == "tool" else "")
        for chunk in heard.chunks if converse.surface == "chat" else ():
            assert [choice["index"] for choice in chunk["choices"]] in ([], [0])
            for choice in chunk["choices"]:
                told = [call["index"] for call in choice["delta"].get("tool_calls") or ()]
                assert set(told) <= set(range(len(heard.calls)))


@pytest.mark.parametrize("model", [LLAMA, MISTRAL, "meta/llama4-scout-17b-instruct"])
def test_a_call_is_streamed_where_the_model_cannot(
    converse: Talk, bedrock_gateway: GatewayProcess, bedrock: BedrockServer, model: str
) -> None:
    heard = converse.ask("do:tool", tools=[WEATHER], model=model)
    assert (heard.finish, len(heard.calls)) == ("tool_calls", 1)
    assert sent(bedrock, converse).path.endswith("/converse")
    [row] = bedrock_gateway.settled(converse.licence).usage
    assert (row["outcome"], row["estimated"]) == ("completed", 0)
    converse.ask("Hello", model=model)
    assert sent(bedrock, converse).path.endswith("/converse-stream") is converse.streams


def test_row_23_tools_are_told_of_whenever_the_history_holds_calls(
    converse: Talk, bedrock: BedrockServer
) -> None:
    for model in CALLING:
        question: list[Any] = ["do:parallel"]
        first = converse.ask(*question, tools=[WEATHER], model=model)
        results = [result(call) for call in reversed(first.calls)]
        second = converse.again(question, first, *results, user("In a word?"), model=model)
        assert second.text == IT_IS
        body = sent(bedrock, converse).body
        [spec] = body["toolConfig"]["tools"]
        assert spec["toolSpec"]["name"] == "get_weather" and "toolChoice" not in body["toolConfig"]
        answered = body["messages"][-1]["content"]
        assert [next(iter(block)) for block in answered] == ["toolResult", "toolResult", "text"]
        [inner] = answered[0]["toolResult"]["content"]
        assert inner == ({"json": {"output": "18 degrees"}} if model == MISTRAL else {"text": "18 degrees"})


@pytest.mark.parametrize("written", ["", "{}", '{"city": "Paris", "deep": {"a": [1, "x"]}}'])
def test_row_24_input_is_an_object(converse: Talk, bedrock: BedrockServer, written: str) -> None:
    call = {
        "id": "call|of:another!",
        "type": "function",
        "function": {"name": "get_weather", "arguments": written},
    }
    asked = {"role": "assistant", "content": None, "tool_calls": [call]}
    reply = {"role": "tool", "tool_call_id": call["id"], "content": "18 degrees"}
    for model in (CLAUDE, NOVA, LLAMA):
        assert converse.ask("do:plain", asked, reply, tools=[WEATHER], model=model).text == ANSWER
        [use] = sent(bedrock, converse).body["messages"][1]["content"]
        assert use["toolUse"]["input"] == json.loads(written or "{}")


def test_row_25_blank_texts_are_dropped_and_documents_named(converse: Talk, bedrock: BedrockServer) -> None:
    def file(name: str) -> dict[str, Any]:
        data = f"data:application/pdf;base64,{PDF}"
        return {"type": "file", "file": {"filename": name, "file_data": data}}

    blank = {"type": "text", "text": " \n"}
    parts = [
        blank,
        {"type": "text", "text": "Read:"},
        file("a_b/c%d.pdf"),
        file("a b c d.pdf"),
        file("é.pdf"),
    ]
    assert converse.ask(user(parts), model=CLAUDE).text == ANSWER
    content = sent(bedrock, converse).body["messages"][0]["content"]
    assert [next(iter(block)) for block in content][:5] == [
        "text",
        "document",
        "document",
        "document",
        "text",
    ]
    names = [block["document"]["name"] for block in content if "document" in block]
    assert len(set(names)) == 3 and not {*"_/%é."} & set("".join(names))


def test_row_26_no_choice_of_none(converse: Talk, bedrock: BedrockServer) -> None:
    for model in CALLING:
        heard = converse.ask("do:plain", tools=[WEATHER], tool_choice="none", model=model)
        assert heard.text == ANSWER and "toolConfig" not in sent(bedrock, converse).body
        question: list[Any] = ["do:tool"]
        first = converse.ask(*question, tools=[WEATHER], model=model)
        more = {"tools": [WEATHER], "tool_choice": "none", "model": model}
        again = converse.again(question, first, result(first.calls[0]), **more)
        assert (again.text, again.calls) == (IT_IS, [])
        assert len(sent(bedrock, converse).body["toolConfig"]["tools"]) == 1


def test_a_choice_of_tools_is_made_or_refused(converse: Talk, bedrock: BedrockServer) -> None:
    for model in CALLING:
        other = {"type": "function", "function": {"name": "other", "parameters": {"type": "object"}}}
        named = {"type": "function", "function": {"name": "get_weather"}}
        ways = {LLAMA: 0, MISTRAL: 1}.get(model, 2)
        for choice, needed in (("required", 1), (named, 2)):
            if ways < needed:
                error = refused(
                    converse, bedrock, "a", tools=[WEATHER, other], tool_choice=choice, model=model
                )
                assert "tool_choice" in error["message"]
            else:
                heard = converse.ask("do:plain", tools=[WEATHER, other], tool_choice=choice, model=model)
                assert [call[1] for call in heard.calls] == ["get_weather"]


@pytest.mark.parametrize("ttl", [None, "1h"])
def test_row_27_what_is_read_and_written_is_counted_beside_the_input(
    converse: Talk, bedrock: BedrockServer, bedrock_gateway: GatewayProcess, ttl: str | None
) -> None:
    """Marks exist on chat completions alone; on responses the automatic ones do the same."""
    spent = 0
    for model in [CLAUDE, NEWER, NOVA]:
        if ttl == "1h" and (model == NOVA or converse.surface == "responses"):
            continue
        rate = rates(bedrock_gateway, converse.licence, model, "bedrock")
        marker = converse.licence.marker
        if converse.surface == "chat":
            asked = [user([long_text(marker, cache_control=cached(ttl)), {"type": "text", "text": "Yes?"}])]
        else:
            asked = [user(long_text(marker)["text"]), {"role": "assistant", "content": "A"}, user("B")]
        wrote, read = (converse.ask(*asked, model=model) for _ in range(2))
        assert (wrote.counts.read, read.counts.write) == (0, 0)
        assert wrote.counts.write == read.counts.read > 4_000
        assert wrote.counts.write_1h == (wrote.counts.write if ttl == "1h" else 0)
        assert wrote.counts.prompt == read.counts.prompt >= wrote.counts.write
        for heard in (wrote, read):
            assert heard.counts.credits == cost(rate, heard.counts)
        assert read.counts.credits < wrote.counts.credits / 2
        spent += wrote.counts.credits + read.counts.credits
    books = bedrock_gateway.settled(converse.licence, len(bedrock.seen(converse.licence.marker)))
    assert books.licence["used"] == spent


@pytest.mark.parametrize("script", ["think-tool", "interleave", "redacted", "empty-think"])
def test_row_31_signed_thoughts_go_back_as_they_came(
    converse: Talk, bedrock: BedrockServer, script: str
) -> None:
    for model in [CLAUDE, NEWER, PROFILE]:
        more: dict[str, Any] = {"tools": [WEATHER], "reasoning": HIGH, "model": model}
        question: list[Any] = [f"do:{script}"]
        heard = converse.ask(*question, **more)
        if script != "empty-think":
            assert THOUGHT in (heard.reasoning or "")
        before = question
        for _ in range(2):
            if not heard.calls:
                break
            results = [result(call) for call in heard.calls]
            again = converse.again(before, heard, *results, **more)
            assistant = sent(bedrock, converse).body["messages"][-2]["content"]
            thoughts = [block["reasoningContent"] for block in assistant if "reasoningContent" in block]
            assert thoughts and all(len(thought) == 1 for thought in thoughts)
            before = [*before, *heard.said, *results] if converse.surface == "chat" else before
            if converse.surface == "responses":
                continued = converse.go_on(heard, *results, **more)
                assert sent(bedrock, converse).body["messages"][-2]["content"] == assistant
                assert continued.text == again.text
                break
            heard = again


def test_row_31_unsigned_thoughts_are_shown_and_do_not_go_back(
    converse: Talk, bedrock: BedrockServer
) -> None:
    for model in [DEEPSEEK, GPT_OSS, NOVA_2]:
        more: dict[str, Any] = {} if model == DEEPSEEK else {"reasoning": {"effort": "low"}}
        question: list[Any] = ["do:think"]
        heard = converse.ask(*question, model=model, **more)
        assert (heard.reasoning, heard.text) == (THOUGHT, ANSWER)
        again = converse.again(question, heard, user("do:plain"), model=model, **more)
        assert again.text == ANSWER
        assert THOUGHT[:12] not in json.dumps(sent(bedrock, converse).body)


def test_row_32_images_are_sent_as_bytes(converse: Talk, bedrock: BedrockServer) -> None:
    for model in [CLAUDE, NOVA, NOVA_2]:
        parts = [{"type": "text", "text": "Look:"}, images(f"data:image/png;base64,{PNG}")]
        assert converse.ask(user(parts), model=model).text == ANSWER
        [_, image, *_] = sent(bedrock, converse).body["messages"][0]["content"]
        assert image == {"image": {"format": "png", "source": {"bytes": PNG}}}


def test_row_32_a_remote_image_is_refused_where_nothing_is_fetched(
    converse: Talk, bedrock: BedrockServer
) -> None:
    parts = [{"type": "text", "text": "Look:"}, images("https://example.com/a.png")]
    error = refused(converse, bedrock, user(parts), model=CLAUDE)
    assert "data:" in error["message"]
    where = "messages[0].content[1].image_url.url" if converse.surface == "chat" else "input[0]"
    assert error["param"] == where


def test_images_are_refused_for_models_without_eyes(converse: Talk, bedrock: BedrockServer) -> None:
    for model in [LLAMA, GPT_OSS, DEEPSEEK]:
        parts = [{"type": "text", "text": "Look:"}, images(f"data:image/png;base64,{PNG}")]
        refused(converse, bedrock, user(parts), model=model)


@pytest.mark.parametrize(
    ("script", "finish"),
    [
        ("plain", "stop"),
        ("tool", "tool_calls"),
        ("context", "length"),
        ("refusal", "content_filter"),
        ("guardrail", "content_filter"),
    ],
)
def test_stop_reasons(converse: Talk, bedrock: BedrockServer, script: str, finish: str) -> None:
    assert converse.ask(f"do:{script}", tools=[WEATHER], model=NOVA).finish == finish


def test_the_output_cap_and_a_stop_sequence(converse: Talk, bedrock: BedrockServer) -> None:
    for model in [NOVA, CLAUDE, LLAMA]:
        heard = converse.ask("Hello", max_tokens=3, model=model)
        assert (heard.finish, heard.counts.output) == ("length", 3)
        assert sent(bedrock, converse).body["inferenceConfig"] == {"maxTokens": 3}
        if converse.surface == "chat":
            stopped = converse.ask("Hello", stop=["France"], model=model)
            assert (stopped.finish, stopped.text) == ("stop", "The capital of ")


def test_the_cap_that_is_sent_is_the_one_that_the_hold_was_priced_with(
    converse: Talk, bedrock: BedrockServer, bedrock_gateway: GatewayProcess
) -> None:
    least = 0
    for model in ALL:
        converse.ask("Hello", model=model)
        entry = described(bedrock_gateway, converse.licence, model, "bedrock")
        limit = entry["max_output_tokens"]
        assert sent(bedrock, converse).body["inferenceConfig"]["maxTokens"] == limit
        least += limit * entry["cost_per_million"]["output"] // 1_000_000
    held = sum(hold["amount"] for hold in bedrock_gateway.settled(converse.licence, len(ALL)).holds)
    assert least <= held < least * 1.2 + 20_000


def test_top_k_in_each_familys_own_words(converse: Talk, bedrock: BedrockServer) -> None:
    if converse.surface != "chat":
        return
    for model, where in (
        (CLAUDE, {"top_k": 40}),
        (NOVA, {"inferenceConfig": {"topK": 40}}),
        ("mistral/mixtral-8x7b-instruct", {"top_k": 40}),
    ):
        converse.ask("Hello", model=model, extra_body={"top_k": 40})
        assert sent(bedrock, converse).body["additionalModelRequestFields"] == where
    for model in (LLAMA, DEEPSEEK, GPT_OSS):
        assert refused(converse, bedrock, "a", model=model, extra_body={"top_k": 40})["param"] == "top_k"


@pytest.mark.parametrize("effort", ["low", "medium", "high"])
def test_reasoning_in_each_familys_own_words(converse: Talk, bedrock: BedrockServer, effort: str) -> None:
    for model in [CLAUDE, NEWER, NOVA_2, GPT_OSS]:
        heard = converse.ask("do:think", model=model, reasoning={"effort": effort})
        assert (heard.reasoning, heard.text) == (THOUGHT, ANSWER)
        body = sent(bedrock, converse).body
        told = body["additionalModelRequestFields"]
        match model:
            case "anthropic/claude-sonnet-4.5":
                thinking = told["thinking"]
                assert 1_024 <= thinking["budget_tokens"] < body["inferenceConfig"]["maxTokens"]
            case "anthropic/claude-opus-4.8":
                assert told["thinking"]["type"] == "adaptive"
                assert body["outputConfig"]["effort"] == effort
            case "amazon/nova-2-lite":
                assert told["reasoningConfig"] == {"type": "enabled", "maxReasoningEffort": effort}
            case _:
                assert told == {"reasoning_effort": effort}


def test_reasoning_is_refused_where_there_is_none(converse: Talk, bedrock: BedrockServer) -> None:
    for model in [NOVA, LLAMA, MISTRAL]:
        error = refused(converse, bedrock, "a", model=model, reasoning=HIGH)
        assert error["param"].startswith("reasoning")


def test_structured_output_is_native_or_refused(converse: Talk, bedrock: BedrockServer) -> None:
    if converse.surface == "responses":
        # The surface has no field for it, and says so by name.
        with pytest.raises(APIStatusError) as failed:
            converse.ask(
                "a", model=CLAUDE, text={"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}}
            )
        assert failed.value.status_code in (400, 422)
        assert bedrock.seen(converse.licence.marker) == []
        return
    wanted = {"type": "json_schema", "json_schema": {"name": "weather", "schema": SCHEMA, "strict": True}}
    for model in (CLAUDE, NEWER, MISTRAL, GPT_OSS):
        heard = converse.ask("Hello", model=model, response_format=wanted)
        assert json.loads(heard.text) == {"city": "Paris", "warm": True}
        told = sent(bedrock, converse).body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
        assert json.loads(told["schema"]) == SCHEMA
    for model in (NOVA, LLAMA, DEEPSEEK, "anthropic/claude-3-haiku"):
        error = refused(converse, bedrock, "a", model=model, response_format=wanted)
        assert error["param"] == "response_format"


REFUSED: dict[str, dict[str, Any]] = {
    "seed": {"seed": 1},
    "logprobs": {"logprobs": True},
    "logit_bias": {"logit_bias": {"1": 1}},
    "frequency_penalty": {"frequency_penalty": 0.5},
    "presence_penalty": {"presence_penalty": 0.5},
    "modalities": {"modalities": ["text", "audio"], "audio": {"voice": "a", "format": "mp3"}},
    "temperature": {"temperature": 1.5},
    "web_search_options": {"web_search_options": {}},
}


def test_what_it_cannot_do_is_refused_by_name_before_anything_is_sent(
    converse: Talk, bedrock: BedrockServer
) -> None:
    if converse.surface == "chat":
        for param, asked in REFUSED.items():
            assert refused(converse, bedrock, "a", model=NOVA, **asked)["param"] == param
