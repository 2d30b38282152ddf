"""Tool calls that carry their server's signature, which it wants back: both surfaces, streamed and not, by
the official `openai` package."""

from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from gateway_process import GatewayProcess
from hostile import UPSTREAM_KEY
from sdk_talk import WEATHER, Heard, Talk, result, sent, talking, user
from signing_server import MODEL, SAID, STAND_IN, SigningServer, signature

ASKED = ["How warm are Paris, Rome and Oslo?"]
TOOLS: dict[str, Any] = {"model": MODEL, "tools": [WEATHER]}
SURFACES = ["chat", "chat-stream", "responses", "responses-stream"]


@pytest.fixture(scope="module")
def signing() -> Iterator[SigningServer]:
    server = SigningServer()
    server.start()
    yield server
    server.stop()
    assert server.complaints == []


@pytest.fixture(scope="module")
def signing_gateway(
    make_gateway: Callable[..., GatewayProcess], signing: SigningServer
) -> Iterator[GatewayProcess]:
    """With one server under several names: what it said by one it shall not hear by the others. `lenient` has
    a word for calls that nobody signed."""
    rows = {"signing": "", "another": "", "lenient": f"unsigned_calls = {STAND_IN}\n"}
    more = "".join(
        f'[providers.{name}]\nbase_url = "http://127.0.0.1:{signing.port}/v1"\n'
        f'api_key_env = "HOSTILE_API_KEY"\n{key}'
        f'[providers.{name}.models."{MODEL}"]\nfree = true\nmax_output_tokens = 1000\n'
        for name, key in rows.items()
    )
    gateway = make_gateway(more, HOSTILE_API_KEY=UPSTREAM_KEY)
    gateway.start()
    yield gateway
    gateway.stop()


def to(provider: str) -> dict[str, Any]:
    return TOOLS | {"extra_headers": {"x-quantized-provider": provider}}


@pytest.fixture
def talk(request: pytest.FixtureRequest, signing_gateway: GatewayProcess) -> Iterator[Talk]:
    surface, _, stream = request.param.partition("-")
    licence = signing_gateway.licence()
    with talking(signing_gateway, surface, bool(stream), licence, "signing") as talk:
        yield talk


everywhere = pytest.mark.parametrize("talk", SURFACES, indirect=True)
stored = pytest.mark.parametrize("talk", SURFACES[2:], indirect=True)


def loop(talk: Talk, before: list[Any]) -> tuple[list[Any], Heard]:
    """A conversation up to its end, each answer sent back as the package dumps it: all of it, and the end."""
    heard = talk.ask(*before, **TOOLS)
    for step in range(2):
        assert len(heard.calls) == 2 - step
        results = [result(call) for call in heard.calls]
        following = talk.again(before, heard, *results, **TOOLS)
        before = [*before, *heard.said, *results]
        heard = following
    assert heard.text == "".join(SAID)
    return before, heard


@everywhere
def test_answers_sent_back_whole_bring_their_signatures(talk: Talk, signing: SigningServer) -> None:
    before, last = loop(talk, list(ASKED))
    # What stood beside a text is asked back by nobody, and comes back all the same.
    again = talk.again(before, last, user("And now?"), **TOOLS)
    assert len(again.calls) == 2
    messages = [m for m in sent(signing, talk).body["messages"] if m["role"] == "assistant"]
    assert ["extra_content" in message for message in messages] == [False, False, True]
    calls = [call for message in messages for call in message.get("tool_calls", ())]
    assert ["extra_content" in call for call in calls] == [True, False, True]
    for of in (calls[0]["id"], calls[2]["id"], last.text):
        assert signature(of) in sent(signing, talk).raw, "byte for byte"


@everywhere
def test_another_provider_gets_the_conversation_without_them(talk: Talk, signing: SigningServer) -> None:
    before, last = loop(talk, list(ASKED))
    answer = talk.again(before, last, user("And now?"), **to("another"))
    assert len(answer.calls) == 2
    raw = sent(signing, talk).raw
    assert b"extra_content" not in raw
    assert b"signature" not in raw


@everywhere
def test_amid_a_step_another_provider_says_what_it_misses(talk: Talk) -> None:
    heard = talk.ask(*ASKED, **TOOLS)
    results = [result(call) for call in heard.calls]
    with pytest.raises(openai.BadRequestError, match="missing a thought_signature"):
        talk.again(list(ASKED), heard, *results, **to("another"))


@everywhere
def test_what_stands_in_for_a_signature_stands_where_there_is_none(
    talk: Talk, signing: SigningServer
) -> None:
    """For a conversation that another provider began, and for a client that keeps nothing but the calls."""
    heard = talk.ask(*ASKED, **TOOLS)
    before = list(ASKED)
    for _ in range(2):
        function = [
            {"id": call[0], "type": "function", "function": {"name": call[1], "arguments": call[2]}}
            for call in heard.calls
        ]
        results = [result(call) for call in heard.calls]
        before = [*before, {"role": "assistant", "content": None, "tool_calls": function}, *results]
        heard = talk.ask(*before, **to("lenient"))
    assert heard.text == "".join(SAID)
    raw = sent(signing, talk).raw
    assert raw.count(b'"extra_content"') == 2, "beside the first call of each step"


@everywhere
def test_and_nowhere_else(talk: Talk, signing: SigningServer) -> None:
    heard = talk.ask(*ASKED, **to("lenient"))
    results = [result(call) for call in heard.calls]
    talk.again(list(ASKED), heard, *results, **to("lenient"))
    raw = sent(signing, talk).raw
    assert raw.count(b'"extra_content"') == 1
    assert signature(heard.calls[0][0]) in raw


@stored
def test_a_stored_response_goes_on_with_them(talk: Talk, signing: SigningServer) -> None:
    heard = talk.ask(*ASKED, **TOOLS)
    while heard.calls:
        heard = talk.go_on(heard, *[result(call) for call in heard.calls], **TOOLS)
    assert heard.text == "".join(SAID)
    talk.go_on(heard, user("And now?"), **TOOLS)
    assert sent(signing, talk).raw.count(b'"extra_content"') == 3


@stored
@pytest.mark.parametrize("kept", ["without reasoning", "the calls alone", "by reference"])
def test_items_that_were_only_partly_kept_are_known_again(
    talk: Talk, signing: SigningServer, kept: str
) -> None:
    """A client of the Responses API need not know what reasoning is."""
    heard = talk.ask(*ASKED, **TOOLS)
    before: list[Any] = list(ASKED)
    while heard.calls:
        calls = [item for item in heard.said if item["type"] == "function_call"]
        if kept == "the calls alone":
            calls = [{k: call[k] for k in ("type", "call_id", "name", "arguments")} for call in calls]
        elif kept == "by reference":
            calls = [{"type": "item_reference", "id": item["id"]} for item in heard.said]
        before = [*before, *calls, *[result(call) for call in heard.calls]]
        heard = talk.ask(*before, **TOOLS)
    assert heard.text == "".join(SAID)
    assert sent(signing, talk).raw.count(b'"extra_content"') == 2
