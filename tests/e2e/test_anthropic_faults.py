"""What goes wrong at Anthropic, and what callers are told of it."""

from typing import Any

import pytest
from anthropic_server import ANTHROPIC_KEY, AnthropicServer
from anthropic_server_answers import ANSWER
from gateway_process import GatewayProcess
from hostile_behaviours import MARK
from openai import APIError, APIStatusError
from plain_http import HTTP
from sdk_talk import ADAPTIVE, Talk, sent, talking, user

UNAVAILABLE = "Service temporarily unavailable"
WORDS = (
    MARK,
    ANTHROPIC_KEY,
    "req_011",
    "organization",
    "credit balance",
    "billing",
    "x-api-key",
    "Overloaded",
)
"""What is between the operator and Anthropic, and nobody else's business."""


def failing(talk: Talk, *messages: Any, **more: Any) -> APIStatusError:
    with pytest.raises(APIStatusError) as failed:
        talk.ask(*messages, **more)
    told = failed.value.response.text
    assert not [word for word in WORDS if word in told]
    return failed.value


@pytest.mark.parametrize("talk", ["chat", "responses-stream"], indirect=True)
@pytest.mark.parametrize(
    ("script", "status", "tries"),
    [
        ("400", 400, 1),
        ("billing-400", 503, 1),
        ("401", 503, 1),
        ("402", 503, 1),
        ("403", 503, 1),
        ("404", 404, 1),
        ("413", 400, 1),
        ("429", 503, 3),
        ("500", 503, 3),
        ("529", 503, 3),
    ],
)
def test_errors_by_kind(
    talk: Talk,
    messages_api: AnthropicServer,
    anthropic_gateway: GatewayProcess,
    script: str,
    status: int,
    tries: int,
) -> None:
    error = failing(talk, f"do:{script}")
    told: dict[str, Any] = error.body  # type: ignore[assignment]
    assert error.status_code == status
    assert len(messages_api.seen(talk.licence.marker)) == tries
    if status == 503:
        assert told["message"] == UNAVAILABLE
        line = anthropic_gateway.line(error.response.headers["x-request-id"])
        assert script[:3] in str(line) or "credit" in str(line)
    elif status == 404:
        assert told["message"] == f"Model '{ADAPTIVE}' not found"
    elif script == "400":
        assert "prompt is too long" in told["message"]
    books = anthropic_gateway.settled(talk.licence)
    assert books.licence["used"] == 0


def test_no_path_into_what_was_sent_is_told(talk: Talk, messages_api: AnthropicServer) -> None:
    error = failing(talk, "do:path-400")
    field = "messages" if talk.surface == "chat" else "input"
    told: Any = error.body
    assert (error.status_code, told["param"]) == (400, field)
    assert told["message"] == f"{field}: image exceeds 5 MB"
    assert len(messages_api.seen(talk.licence.marker)) == 1


@pytest.mark.parametrize("script", ["billing-400", "401", "402", "403"])
def test_what_is_wrong_with_our_own_account_is_an_operators_alert(
    anthropic_gateway: GatewayProcess, messages_api: AnthropicServer, script: str
) -> None:
    with talking(anthropic_gateway, "chat", False, anthropic_gateway.licence()) as talk:
        request_id = failing(talk, f"do:{script}").response.headers["x-request-id"]
    assert anthropic_gateway.line(request_id)["level"] == "error"
    assert ANTHROPIC_KEY not in anthropic_gateway.log_path.read_text()


@pytest.mark.parametrize("talk", ["chat-stream", "responses"], indirect=True)
@pytest.mark.parametrize("script", ["529-once", "429-once", "500-once"])
def test_overload_is_tried_again(
    talk: Talk, messages_api: AnthropicServer, anthropic_gateway: GatewayProcess, script: str
) -> None:
    assert talk.ask(f"do:{script}").text == ANSWER
    assert len(messages_api.seen(talk.licence.marker)) == 2
    assert len(anthropic_gateway.settled(talk.licence).holds) == 1


@pytest.mark.parametrize("script", ["error-event", "truncated", "cut", "garbage", "silence"])
def test_a_stream_that_breaks_is_an_error_and_what_came_is_charged(
    anthropic_gateway: GatewayProcess, messages_api: AnthropicServer, script: str
) -> None:
    for surface in ("chat", "responses"):
        with talking(anthropic_gateway, surface, True, anthropic_gateway.licence()) as talk:
            stream: Any
            if surface == "chat":
                messages: Any = [user(f"do:{script} {talk.licence.marker}")]
                stream = talk.client.chat.completions.create(model=ADAPTIVE, messages=messages, stream=True)
                with pytest.raises(APIError, match=UNAVAILABLE) as failed:
                    list(stream)
                assert not [word for word in WORDS if word in str(failed.value.body)]
            else:
                stream = talk.client.responses.create(
                    model=ADAPTIVE, input=f"do:{script} {talk.licence.marker}", stream=True
                )
                events = list(stream)
                assert [event.type for event in events[-2:]] == ["error", "response.failed"]
                assert events[-2].message == UNAVAILABLE
                assert not [word for word in WORDS if word in str(events)]
            assert len(messages_api.seen(talk.licence.marker)) == 1
            books = anthropic_gateway.settled(talk.licence)
            assert books.licence["used"] > 0


def test_an_error_before_anything_was_said_is_a_503_and_is_tried_again(
    anthropic_gateway: GatewayProcess, messages_api: AnthropicServer
) -> None:
    for surface in ("chat", "responses"):
        with talking(anthropic_gateway, surface, True, anthropic_gateway.licence()) as talk:
            error = failing(talk, "do:error-first")
            assert error.status_code == 503
            assert len(messages_api.seen(talk.licence.marker)) == 3
            assert anthropic_gateway.settled(talk.licence).licence["used"] == 0


def test_an_answer_that_nobody_can_read_is_asked_for_once(
    talk: Talk, messages_api: AnthropicServer, anthropic_gateway: GatewayProcess
) -> None:
    assert failing(talk, "do:unreadable").status_code == 503
    assert len(messages_api.seen(talk.licence.marker)) == 1
    assert anthropic_gateway.settled(talk.licence).licence["used"] == 0


@pytest.mark.parametrize("script", ["truncated", "cut"])
def test_half_a_body_is_a_503(
    anthropic_gateway: GatewayProcess, messages_api: AnthropicServer, script: str
) -> None:
    for surface in ("chat", "responses"):
        with talking(anthropic_gateway, surface, False, anthropic_gateway.licence()) as talk:
            assert failing(talk, f"do:{script}").status_code == 503
            assert anthropic_gateway.settled(talk.licence).licence["used"] == 0


REFUSED: dict[str, dict[str, Any]] = {
    "seed": {"seed": 1},
    "logprobs": {"logprobs": True},
    "logit_bias": {"logit_bias": {"1": 1}},
    "frequency_penalty": {"frequency_penalty": 0.5},
    "presence_penalty": {"presence_penalty": 0.5},
    "repetition_penalty": {"extra_body": {"repetition_penalty": 1.5}},
    "modalities": {"modalities": ["text", "audio"], "audio": {"voice": "a", "format": "mp3"}},
    "temperature": {"temperature": 1.5},
    "max_tokens": {"max_tokens": 1_000_000},
    "stop": {"stop": [" "]},
}


@pytest.mark.parametrize("param", REFUSED)
def test_what_it_cannot_do_is_refused_by_name_before_anything_is_sent(
    anthropic_gateway: GatewayProcess, messages_api: AnthropicServer, param: str
) -> None:
    licence = anthropic_gateway.licence()
    with (
        talking(anthropic_gateway, "chat", False, licence) as talk,
        pytest.raises(APIStatusError) as failed,
    ):
        talk.client.chat.completions.create(
            model="claude-opus-4-5",
            messages=[user("Hello")],
            **REFUSED[param],  # type: ignore[arg-type]
        )
    told: Any = failed.value.body
    assert (failed.value.status_code, told["param"]) == (400, param)
    assert param in told["message"] and "anthropic" in told["message"]
    assert messages_api.seen(licence.marker) == []
    assert (
        anthropic_gateway.settled(licence, len(anthropic_gateway.books(licence).holds)).licence["used"] == 0
    )


def test_audio_and_other_files_are_refused_by_name(talk: Talk, messages_api: AnthropicServer) -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    zipped = {"type": "file", "file": {"filename": "a.zip", "file_data": "data:application/zip;base64,AAAA"}}
    for part in (audio, zipped):
        error = failing(talk, user([{"type": "text", "text": "Hello"}, part]))
        assert error.status_code == 400
        assert "anthropic" in error.message
    assert messages_api.seen(talk.licence.marker) == []


def test_an_unknown_model_is_a_404_and_unknown_header_values_name_the_known(
    anthropic_gateway: GatewayProcess, messages_api: AnthropicServer
) -> None:
    licence = anthropic_gateway.licence()
    with talking(anthropic_gateway, "chat", False, licence) as talk:
        assert failing(talk, "Hello", model="gpt-4.1").status_code == 404
    body = {"model": ADAPTIVE, "messages": [user(licence.marker)]}
    headers = licence.headers | {"x-quantized-provider": "nobody"}
    answer = HTTP.post(f"{anthropic_gateway.url}/v1/chat/completions", json=body, headers=headers)
    assert answer.status_code == 400
    assert "anthropic" in answer.json()["error"]["message"]
    assert messages_api.seen(licence.marker) == []


def test_a_lowered_cap_is_what_the_balance_pays_for(
    anthropic_gateway: GatewayProcess, messages_api: AnthropicServer
) -> None:
    for surface in ("chat", "responses"):
        with talking(anthropic_gateway, surface, False, anthropic_gateway.licence("0.02")) as talk:
            heard = talk.ask("do:long")
            cap = sent(messages_api, talk).body["max_tokens"]
            assert heard.finish == "length"
            assert 200 < heard.counts.output == cap < 700
            books = anthropic_gateway.settled(talk.licence)
            assert 0 < books.licence["used"] == heard.counts.credits <= 20_000


def test_thinking_that_the_balance_does_not_pay_for_is_a_402(
    anthropic_gateway: GatewayProcess, messages_api: AnthropicServer
) -> None:
    with talking(anthropic_gateway, "chat", False, anthropic_gateway.licence("0.02")) as talk:
        error = failing(talk, "do:think", model="claude-opus-4-5", reasoning={"effort": "high"})
        assert error.status_code == 402
        assert messages_api.seen(talk.licence.marker) == []
        assert anthropic_gateway.settled(talk.licence, len(anthropic_gateway.books(talk.licence).holds))
