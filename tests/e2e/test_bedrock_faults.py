"""What goes wrong at Bedrock, and what callers are told of it."""

import json
from typing import Any

import pytest
from anthropic_server_answers import ANSWER
from bedrock_server import FAULTS, STREAM_FAULTS, BedrockServer
from bedrock_server_credentials import STATIC
from bedrock_server_models import ACCOUNT
from gateway_process import GatewayProcess
from hostile_behaviours import MARK
from openai import APIError, APIStatusError
from sdk_talk import Talk, talking, user

NOVA = "amazon/nova-lite"
UNAVAILABLE = "Service temporarily unavailable"
WORDS = (MARK, STATIC.access_key, STATIC.secret_key, ACCOUNT, "arn:", "amazonaws", "5fd1b2a3", "Exception")
"""What is between the operator and AWS, and nobody else's business."""

TOLD = {
    "throttling": (503, 3, False),
    "validation": (400, 1, False),
    "access": (503, 1, True),
    "no-access": (503, 1, True),
    "not-ready": (503, 3, False),
    "timeout": (503, 3, False),
    "model-error": (503, 3, False),
    "quota": (503, 1, True),
    "internal": (503, 3, False),
    "unavailable": (503, 3, False),
    "expired": (503, 1, True),
    "unrecognized": (503, 1, True),
    "signature": (503, 1, True),
    "not-found": (404, 1, False),
    "unknown-model": (404, 1, False),
}
"""Status, tries, and whether an operator is to look."""


def failing(talk: Talk, *messages: Any, **more: Any) -> APIStatusError:
    with pytest.raises(APIStatusError) as failed:
        talk.ask(*messages, model=NOVA, **more)
    told = failed.value.response.text
    assert not [word for word in WORDS if word in told]
    return failed.value


def test_every_kind_of_error_is_told_as_what_it_means(
    converse: Talk, bedrock: BedrockServer, bedrock_gateway: GatewayProcess
) -> None:
    assert TOLD.keys() == FAULTS.keys()
    seen = 0
    for script, (status, tries, alert) in TOLD.items():
        error = failing(converse, f"do:{script}")
        told: dict[str, Any] = error.body  # type: ignore[assignment]
        assert error.status_code == status, script
        asked = len(bedrock.seen(converse.licence.marker))
        assert asked - seen == tries, script
        seen = asked
        if status == 503:
            assert told["message"] == UNAVAILABLE
        elif status == 404:
            assert told["message"] == f"Model '{NOVA}' not found"
        else:
            assert "too long" in told["message"] and told["code"] == "context_length_exceeded"
        line = bedrock_gateway.line(error.response.headers["x-request-id"])
        assert (line["level"] == "error") == alert, script
        if status == 503:
            assert FAULTS[script].kind in line["cause"]
    assert bedrock_gateway.settled(converse.licence, len(TOLD)).licence["used"] == 0
    assert STATIC.secret_key not in bedrock_gateway.log_path.read_text()


@pytest.mark.parametrize("script", ["throttling-once", "not-ready-once", "internal-once", "unavailable-once"])
def test_what_passes_is_tried_again(
    converse: Talk, bedrock: BedrockServer, bedrock_gateway: GatewayProcess, script: str
) -> None:
    assert converse.ask(f"do:{script}", model=NOVA).text == ANSWER
    first, second = bedrock.seen(converse.licence.marker)
    assert first.raw == second.raw
    assert len(bedrock_gateway.settled(converse.licence).holds) == 1


def broken(gateway: GatewayProcess, surface: str, script: str) -> tuple[Talk, str]:
    """What a client of a stream was told that broke after it had begun."""
    licence = gateway.licence()
    with talking(gateway, surface, True, licence, "bedrock") as talk:
        text = f"do:{script} {licence.marker}"
        if surface == "chat":
            stream = talk.client.chat.completions.create(model=NOVA, messages=[user(text)], stream=True)  # type: ignore[list-item]
            with pytest.raises(APIError, match=UNAVAILABLE) as failed:
                list(stream)
            return talk, str(failed.value.body)
        events = list(talk.client.responses.create(model=NOVA, input=text, stream=True))
        assert [event.type for event in events[-2:]] == ["error", "response.failed"]
        assert UNAVAILABLE in str(events[-2])
        return talk, str(events)


@pytest.mark.parametrize("surface", ["chat", "responses"])
@pytest.mark.parametrize(
    "script",
    [
        *(name for name in STREAM_FAULTS if name != "stream-validation"),
        "bad-crc",
        "half-a-frame",
        "truncated",
        "no-metadata",
        "cut",
        "silence",
    ],
)
def test_a_stream_that_breaks_is_an_error_and_what_came_is_charged(
    bedrock_gateway: GatewayProcess, bedrock: BedrockServer, surface: str, script: str
) -> None:
    talk, told = broken(bedrock_gateway, surface, script)
    assert not [word for word in WORDS if word in told]
    assert len(bedrock.seen(talk.licence.marker)) == 1
    [row] = bedrock_gateway.settled(talk.licence).usage
    assert (row["outcome"], row["estimated"]) == ("cut", 1)
    assert row["charged"] > 0


@pytest.mark.parametrize("surface", ["chat", "responses"])
def test_an_exception_about_the_input_within_a_stream_is_told_cleaned(
    bedrock_gateway: GatewayProcess, bedrock: BedrockServer, surface: str
) -> None:
    licence = bedrock_gateway.licence()
    with talking(bedrock_gateway, surface, True, licence, "bedrock") as talk:
        text = f"do:stream-validation {licence.marker}"
        if surface == "chat":
            with pytest.raises(APIError) as failed:
                list(
                    talk.client.chat.completions.create(
                        model=NOVA,
                        messages=[user(text)],  # type: ignore[list-item]
                        stream=True,
                    )
                )
            told = json.dumps(failed.value.body)
        else:
            told = str(list(talk.client.responses.create(model=NOVA, input=text, stream=True))[-2])
        assert "No." in told and "Exception" not in told and "The model returned" not in told


@pytest.mark.parametrize(
    ("script", "status", "tries"),
    [
        ("first-stream-throttling", 503, 3),
        ("first-stream-internal", 503, 3),
        ("first-stream-unavailable", 503, 3),
        ("first-stream-model-error", 503, 3),
        ("first-stream-validation", 400, 1),
    ],
)
@pytest.mark.parametrize("surface", ["chat", "responses"])
def test_an_exception_before_anything_was_said_is_a_proper_error(
    bedrock_gateway: GatewayProcess,
    bedrock: BedrockServer,
    surface: str,
    script: str,
    status: int,
    tries: int,
) -> None:
    with talking(bedrock_gateway, surface, True, bedrock_gateway.licence(), "bedrock") as talk:
        with pytest.raises(APIStatusError) as failed:
            talk.ask(f"do:{script}", model=NOVA)
        assert failed.value.status_code == status
        assert len(bedrock.seen(talk.licence.marker)) == tries
        assert bedrock_gateway.settled(talk.licence).licence["used"] == 0


@pytest.mark.parametrize("surface", ["chat", "responses"])
def test_half_a_body_is_a_503(bedrock_gateway: GatewayProcess, bedrock: BedrockServer, surface: str) -> None:
    with talking(bedrock_gateway, surface, False, bedrock_gateway.licence(), "bedrock") as talk:
        assert failing(talk, "do:cut").status_code == 503
        assert bedrock_gateway.settled(talk.licence).licence["used"] == 0
