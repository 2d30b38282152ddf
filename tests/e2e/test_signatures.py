"""Tool calls that carry their server's signature, which it wants back: both surfaces, streamed and not, by the
official `openai` package."""

from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest
from gateway_process import GatewayProcess
from hostile import UPSTREAM_KEY
from sdk_talk import WEATHER, Heard, Talk, result, sent, talking, user
from signing_server import MODEL, SAID, SigningServer, signature

ASKED = ["How warm are Paris, Rome and Oslo?"]
TOOLS: dict[str, Any] = {"model": MODEL, "tools": [WEATHER]}


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
    """With one server under two names: what it said by the one it shall not hear by the other."""
    more = "".join(
        f'[providers.{name}]\nbase_url = "http://127.0.0.1:{signing.port}/v1"\napi_key_env = "HOSTILE_API_KEY"\n'
        f'[providers.{name}.models."{MODEL}"]\nfree = true\nmax_output_tokens = 1000\n'
        for name in ("signing", "another")
    )
    gateway = make_gateway(more, HOSTILE_API_KEY=UPSTREAM_KEY)
    gateway.start()
    yield gateway
    assert gateway.stop() is not None


@pytest.fixture(params=["chat", "chat-stream", "responses", "responses-stream"])
def talk(request: pytest.FixtureRequest, signing_gateway: GatewayProcess) -> Iterator[Talk]:
    surface, _, stream = request.param.partition("-")
    licence = signing_gateway.licence()
    with talking(signing_gateway, surface, bool(stream), licence, "signing") as talk:
        yield talk


def loop(talk: Talk, before: list[Any], **more: Any) -> tuple[list[Any], Heard]:
    """A conversation up to its end, each answer sent back as the package dumps it: all of it, and the end."""
    heard = talk.ask(*before, **TOOLS, **more)
    for step in range(2):
        assert len(heard.calls) == 2 - step
        results = [result(call) for call in heard.calls]
        following = talk.again(before, heard, *results, **TOOLS, **more)
        before = [*before, *heard.said, *results]
        heard = following
    assert heard.text == "".join(SAID)
    return before, heard


def test_answers_sent_back_whole_bring_their_signatures(talk: Talk, signing: SigningServer) -> None:
    before, last = loop(talk, list(ASKED))
    # What stood beside a text is asked back by nobody, and comes back all the same; then all begins anew.
    again = talk.again(before, last, user("And now?"), **TOOLS)
    assert len(again.calls) == 2
    messages = sent(signing, talk).body["messages"]
    assert [("extra_content" in message) for message in messages if message["role"] == "assistant"] == [
        False,
        False,
        True,
    ]
    calls = [call for message in messages for call in message.get("tool_calls", ())]
    assert [("extra_content" in call) for call in calls] == [True, False, True]
    for of in (calls[0]["id"], calls[2]["id"], last.text):
        assert signature(of) in sent(signing, talk).raw, "byte for byte"


def test_another_provider_gets_the_conversation_without_them(talk: Talk, signing: SigningServer) -> None:
    before, last = loop(talk, list(ASKED))
    elsewhere = {"x-quantized-provider": "another"}
    answer = talk.again(before, last, user("And now?"), **TOOLS, extra_headers=elsewhere)
    assert len(answer.calls) == 2
    raw = sent(signing, talk).raw
    assert b"extra_content" not in raw
    assert b"signature" not in raw


def test_amid_a_step_another_provider_says_what_it_misses(talk: Talk) -> None:
    heard = talk.ask(*ASKED, **TOOLS)
    results = [result(call) for call in heard.calls]
    with pytest.raises(openai.BadRequestError, match="missing a thought_signature"):
        talk.again(
            list(ASKED), heard, *results, **TOOLS, extra_headers={"x-quantized-provider": "another"}
        )


def test_a_stored_response_goes_on_with_them(talk: Talk, signing: SigningServer) -> None:
    if talk.surface != "responses":
        return
    heard = talk.ask(*ASKED, **TOOLS)
    while heard.calls:
        heard = talk.go_on(heard, *[result(call) for call in heard.calls], **TOOLS)
    assert heard.text == "".join(SAID)
    talk.go_on(heard, user("And now?"), **TOOLS)
    assert sent(signing, talk).raw.count(b'"extra_content"') == 3
