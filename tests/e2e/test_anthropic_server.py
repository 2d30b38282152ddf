"""The imitated Messages API against the official client and types: what it takes and what it refuses."""

import base64
import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import anthropic
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from anthropic_server import ANTHROPIC_KEY, AnthropicServer
from anthropic_server_answers import ANSWER, SCRIPTS, THOUGHT, WEATHER
from plain_http import HTTP
from pydantic import TypeAdapter

OLD, OLDEST, NEW = "claude-opus-4-5-20251101", "claude-sonnet-4-20250514", "claude-opus-4-8"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n0000").decode()
TOOL = {"name": "get_weather", "input_schema": {"type": "object"}}
SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 5}
SUMMARIZED = {"type": "adaptive", "display": "summarized"}
_MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)
_EVENT: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)
HEADERS = {
    "x-api-key": ANTHROPIC_KEY,
    "anthropic-version": "2023-06-01",
    "content-type": "application/json",
}


@pytest.fixture(scope="module")
def server() -> Iterator[AnthropicServer]:
    server = AnthropicServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client(server: AnthropicServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[anthropic.Anthropic]:
    monkeypatch.delenv("ANTHROPIC_CUSTOM_HEADERS", raising=False)
    with anthropic.Anthropic(
        api_key=ANTHROPIC_KEY,
        base_url=server.url,
        max_retries=0,
        http_client=anthropic.DefaultHttpxClient(verify=False),
    ) as client:
        yield client


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": [text(b) if isinstance(b, str) else b for b in blocks]}


def assistant(*blocks: Any) -> dict[str, Any]:
    return user(*blocks) | {"role": "assistant"}


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words} | more


def use(call_id: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": "get_weather", "input": {}}


def result(call_id: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": "18"}


def image(**source: Any) -> dict[str, Any]:
    return {"type": "image", "source": source}


def marked(words: str, ttl: str = "5m") -> dict[str, Any]:
    return text(words, cache_control={"type": "ephemeral", "ttl": ttl})


def body(*messages: Any, **more: Any) -> dict[str, Any]:
    turns = [user(m) if isinstance(m, str) else m for m in messages or ("Hello",)]
    return {"model": OLD, "max_tokens": 4_000, "messages": turns} | more


def refusal(server: AnthropicServer, sent: dict[str, Any], **headers: str) -> tuple[int, str, str]:
    answer = HTTP.post(f"{server.url}/v1/messages", json=sent, headers=HEADERS | headers)
    told = answer.json()
    assert told["type"] == "error", told
    return answer.status_code, told["error"]["type"], told["error"]["message"]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown field": (body(seed=1), "seed: Extra inputs"),
    "an unknown field of a message": (body(user("a") | {"name": "x"}), "name: Extra inputs"),
    "an unknown field of a block": (body(user(text("a", x=1))), "x: Extra inputs"),
    "an unknown field of a source": (
        body(user(image(type="base64", media_type="image/png", data=PNG, x=1))),
        "x: Extra inputs",
    ),
    "a number in quotes": (body(max_tokens="5"), "max_tokens: Input should be a valid integer"),
    "no cap": ({"model": OLD, "messages": [user("a")]}, "max_tokens: Field required"),
    "a system message": (body({"role": "system", "content": "a"}, user("b")), "first message"),
    "an image of the assistant": (body("a", assistant(image(type="url", url="https://a")), "b"), "image"),
    "the assistant first": (body(assistant("a"), "b"), "first message"),
    "two users in a row": (body("a", "b"), "roles must alternate"),
    "no content": (body(user()), "non-empty content"),
    "an empty text": (body(user("")), "must be non-empty"),
    "a blank text": (body(user(" \n")), "non-whitespace"),
    "an empty system": (body(system=""), "system"),
    "no result": (body("a", assistant(use("c")), "b", tools=[TOOL]), "without `tool_result` blocks"),
    "one result too few": (
        body("a", assistant(use("c"), use("d")), user(result("c")), tools=[TOOL]),
        "without `tool_result` blocks immediately after: d",
    ),
    "text before a result": (
        body("a", assistant(use("c")), user("b", result("c")), tools=[TOOL]),
        "without `tool_result` blocks",
    ),
    "a result of no call": (body(user(result("c"))), "unexpected `tool_use_id`"),
    "two results of a call": (
        body("a", assistant(use("c")), user(result("c"), result("c"))),
        "a single result",
    ),
    "a call's id twice": (body("a", assistant(use("c"), use("c")), user(result("c"))), "must be unique"),
    "a strange id": (body("a", assistant(use("c:1")), user(result("c:1"))), "tool_use.id"),
    "a call at the end": (body("a", assistant(use("c"))), "without `tool_result`"),
    "forged thoughts": (
        body("a", assistant({"type": "thinking", "thinking": "b", "signature": "Zm9v"}, "c"), "d"),
        "Invalid `signature`",
    ),
    "five marks": (body(user(*(marked(str(n)) for n in range(5)))), "maximum of 4"),
    "an hour after five minutes": (body(user(marked("a"), marked("b", "1h"))), "must not come after"),
    "a small budget": (body(thinking={"type": "enabled", "budget_tokens": 1_023}), "1024"),
    "a cap below the budget": (
        body(thinking={"type": "enabled", "budget_tokens": 4_000}),
        "`max_tokens` must be greater",
    ),
    "a budget for a newer model": (
        body(model=NEW, thinking={"type": "enabled", "budget_tokens": 2_000}),
        '"thinking.type.enabled" is not supported',
    ),
    "adaptive thinking of an older model": (body(thinking={"type": "adaptive"}), "adaptive thinking"),
    "disabled thinking of a model that always thinks": (
        body(model="claude-opus-5-5", thinking={"type": "disabled"}),
        "disabled",
    ),
    "a forced tool while thinking": (
        body(
            tools=[TOOL],
            tool_choice={"type": "any"},
            thinking={"type": "enabled", "budget_tokens": 2_000},
        ),
        "Thinking may not be enabled when tool_choice forces tool use",
    ),
    "a temperature while thinking": (
        body(temperature=0.5, thinking={"type": "enabled", "budget_tokens": 2_000}),
        "`temperature` may only be set to 1",
    ),
    "a high temperature": (body(temperature=1.5), "range: 0..1"),
    "a temperature of a newer model": (body(model=NEW, temperature=1), "deprecated"),
    "temperature and top_p": (
        body(model="claude-haiku-4-5", temperature=0.5, top_p=0.5),
        "cannot both be specified",
    ),
    "a prefill of a newer model": (
        body("a", assistant("b"), model=NEW),
        "does not support assistant message",
    ),
    "a prefill that ends in a blank": (body("a", assistant("b ")), "trailing whitespace"),
    "a blank stop sequence": (body(stop_sequences=["\n"]), "non-whitespace"),
    "a media type": (
        body(user(image(type="base64", media_type="image/tiff", data=PNG))),
        "media_type",
    ),
    "another image than is said": (
        body(user(image(type="base64", media_type="image/gif", data=PNG))),
        "image/gif media type",
    ),
    "an http URL": (body(user(image(type="url", url="http://a"))), "Only HTTPS"),
    "a cap above the limit": (body(max_tokens=64_001), "64001 > 64000"),
    "an effort of an older model": (body(model=OLDEST, output_config={"effort": "low"}), "effort parameter"),
    "a schema of an older model": (
        body(model=OLDEST, output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}}),
        "output format",
    ),
    "an open schema": (
        body(model=NEW, output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}}),
        "'additionalProperties' must be explicitly set to false",
    ),
    "a choice without tools": (body(tool_choice={"type": "auto"}), "while providing tools"),
    "an unknown tool": (body(tools=[TOOL], tool_choice={"type": "tool", "name": "x"}), "not found"),
    "a tool's name": (body(tools=[TOOL | {"name": "a.b"}]), "pattern"),
    "two tools of one name": (body(tools=[TOOL, TOOL]), "must be unique"),
    "a tool without a type": (body(tools=[TOOL | {"input_schema": {}}]), "input_schema.type"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_it_refuses(server: AnthropicServer, name: str) -> None:
    sent, why = WRONG[name]
    status, kind, message = refusal(server, sent)
    assert (status, kind) == (400, "invalid_request_error")
    assert why in message


def test_whom_it_refuses(server: AnthropicServer) -> None:
    assert refusal(server, body(), **{"x-api-key": "no"})[:2] == (401, "authentication_error")
    assert refusal(server, body(), authorization="Bearer x")[:2] == (401, "authentication_error")
    assert refusal(server, body(), **{"anthropic-version": ""})[:2] == (400, "invalid_request_error")
    newest = {"anthropic-version": "2026-10-21"}
    assert refusal(server, body(temperature=1), **newest)[2] == "temperature: Extra inputs are not permitted"
    assert refusal(server, body(model="claude-9")) == (404, "not_found_error", "model: claude-9")


def test_what_it_takes(client: anthropic.Anthropic) -> None:
    sent = body(
        user("a", image(type="base64", media_type="image/png", data=PNG), marked("b", "1h")),
        assistant("c", use("c1"), use("c2")),
        user(result("c1"), result("c2"), marked("d")),
        assistant("And"),
        system=[marked("e", "1h")],
        tools=[TOOL, SEARCH],
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        metadata={"user_id": "u"},
        stop_sequences=["x"],
        extra_headers={"anthropic-version": "2023-06-01"},
        extra_body={"temperature": 1.0, "top_k": 5},
    )
    answer = client.messages.create(**sent)
    assert answer.content[0].text == ANSWER  # type: ignore[union-attr]


@pytest.mark.parametrize("name", [*SCRIPTS, "400", "429", "529", "401"])
def test_its_answers_are_those_of_the_official_types(
    client: anthropic.Anthropic, server: AnthropicServer, name: str
) -> None:
    """Streamed and whole they are the same, and every event has a type that the package knows, or none."""
    sent = body(f"do:{name}", model=NEW, tools=[TOOL, SEARCH], thinking=SUMMARIZED)
    if name not in SCRIPTS:
        with pytest.raises(anthropic.APIStatusError) as failed:
            client.messages.create(**sent)
        assert str(failed.value.status_code) == name
        return
    raw = client.messages.with_raw_response.create(**sent).http_response.content
    _MESSAGE.validate_json(raw, strict=True)
    whole = client.messages.create(**sent)
    with client.messages.stream(**sent) as stream:
        streamed = stream.get_final_message()
    assert streamed.to_dict()["content"] == whole.to_dict()["content"]
    assert (streamed.id, streamed.stop_reason) == (whole.id, whole.stop_reason)
    frames = HTTP.post(f"{server.url}/v1/messages", json=sent | {"stream": True}, headers=HEADERS).text
    events = [line.removeprefix("data: ") for line in frames.splitlines() if line.startswith("data: ")]
    for event in events:
        if json.loads(event)["type"] not in ("ping", "event_of_the_future"):
            _EVENT.validate_json(event, strict=True)


def test_what_it_sealed_comes_back_as_it_was_or_is_refused(
    client: anthropic.Anthropic, server: AnthropicServer
) -> None:
    for name in ("think-tool", "interleave", "redacted", "empty-think", "search-tool"):
        sent = body(f"do:{name}", model=NEW, tools=[TOOL, SEARCH], thinking=SUMMARIZED)
        first = client.messages.create(**sent).to_dict()["content"]
        calls = [block["id"] for block in first if block["type"] == "tool_use"]  # type: ignore[union-attr]
        results = user(*(result(call) for call in calls))
        again = deepcopy(sent)
        again["messages"] += [{"role": "assistant", "content": first}, results]
        second = client.messages.create(**again)
        assert second.content[-1].type in ("text", "tool_use")
        sealed = [at for at, block in enumerate(first) if "thinking" in block["type"]]  # type: ignore[operator]
        for at in sealed:
            for edit in (_modified, _moved, *([_left_out] if len(sealed) > 1 else [])):
                edited = deepcopy(again)
                edited["messages"][1]["content"] = edit(first, at)
                assert refusal(server, edited)[0] == 400, (name, at, edit)
        without = deepcopy(again)
        without["messages"][1]["content"] = [b for b in first if b["type"] in ("text", "tool_use")]  # type: ignore[index]
        if name != "search-tool":
            client.messages.create(**without)
        else:
            assert "citation" in refusal(server, without)[2]


def _modified(content: Any, at: int) -> Any:
    changed: list[Any] = deepcopy(content)
    field = "thinking" if changed[at]["type"] == "thinking" else "data"
    changed[at][field] += "x"
    return changed


def _moved(content: Any, at: int) -> Any:
    changed: list[Any] = deepcopy(content)
    other = at - 1 if at else 1
    changed[at], changed[other] = changed[other], changed[at]
    return changed


def _left_out(content: Any, at: int) -> Any:
    return [block for n, block in enumerate(content) if n != at]


def test_thoughts_of_the_newest_are_bound_to_their_prompt(
    client: anthropic.Anthropic, server: AnthropicServer
) -> None:
    sent = body("do:think-tool", model="claude-opus-5-5", tools=[TOOL], system="Be brief.")
    first = client.messages.create(**sent)
    sent["messages"] += [
        {"role": "assistant", "content": first.to_dict()["content"]},
        user(result(first.content[-1].id)),  # type: ignore[union-attr]
    ]
    assert client.messages.create(**sent).content
    sent["messages"][0] = user(marked("do:think-tool"))
    assert client.messages.create(**sent).content
    sent["system"] = "Be long."
    assert "bound to a different conversation" in refusal(server, sent)[2]


def test_a_budgeted_tool_loop_begins_with_thoughts(
    client: anthropic.Anthropic, server: AnthropicServer
) -> None:
    thinking = {"type": "enabled", "budget_tokens": 2_000}
    sent = body("do:think-tool", tools=[TOOL], thinking=thinking)
    first = client.messages.create(**sent)
    assert first.content[0].thinking == THOUGHT  # type: ignore[union-attr]
    calls = user(result(first.content[-1].id))  # type: ignore[union-attr]
    sent["messages"] += [{"role": "assistant", "content": first.to_dict()["content"]}, calls]
    second = client.messages.create(**sent)
    assert second.content[-1].text == WEATHER  # type: ignore[union-attr]
    sent["messages"][1]["content"] = sent["messages"][1]["content"][1:]
    assert "Expected `thinking`" in refusal(server, sent)[2]


def test_it_reads_and_writes_prefixes(client: anthropic.Anthropic) -> None:
    def usage(sent: dict[str, Any]) -> tuple[int, int, int, int]:
        used = client.messages.create(**sent).usage
        assert used.cache_creation is not None
        split = used.cache_creation
        return (
            used.input_tokens,
            used.cache_read_input_tokens or 0,
            split.ephemeral_5m_input_tokens,
            split.ephemeral_1h_input_tokens,
        )

    system = marked("read and write " * 1_200, "1h")
    fresh, read, short, long = usage(body(user(marked("a " * 9_000), "b"), system=[system]))
    assert read == 0 and short > 4_400 and long > 4_400 and fresh < 20
    assert usage(body(user(marked("a " * 9_000), "c"), system=[system])) == (fresh, short + long, 0, 0)
    # What follows is another, and what was marked for an hour is still there.
    other = usage(body(user(marked("x " * 9_000), "b"), system=[system]))
    assert other == (fresh, long, short, 0)
    # Too short to be kept.
    assert usage(body(user(marked("short"), "b")))[1:] == (0, 0, 0)
