"""HTTP errors of the Messages API, to faults: whose fault it is, and what the caller may read of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from taped import MESSAGES

from quantized.core.errors import Fault, ModelNotFound, ProviderUnavailable, RejectedByProvider

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def fault(
    status: int, message: str = "Bad", headers: dict[str, str] | None = None, code: str | None = None
) -> Fault:
    error: dict[str, Any] = {"type": TYPES.get(status, "api_error"), "message": message}
    if code is not None:
        error["details"] = {"error_code": code}
    body = {"type": "error", "error": error, "request_id": "req_011CSHoEeqs5C35K2UUqR7Fy"}
    return MESSAGES.decode_error(status, headers or {}, json.dumps(body).encode())


def unavailable(told: Fault) -> ProviderUnavailable:
    assert isinstance(told, ProviderUnavailable)
    assert told.message == "Service temporarily unavailable"
    return told


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_the_callers_own_input_comes_back_with_the_reason(status):
    told = fault(status, "messages.0.content.1: Could not process image")
    assert isinstance(told, RejectedByProvider)
    assert told.message == "messages: Could not process image"
    assert told.param == "messages"
    assert told.cause == f"anthropic: HTTP {status}, type {TYPES.get(status, 'api_error')}"


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ("max_tokens: 300000 > 64000, which is the maximum allowed number of output tokens", "max_tokens"),
        ("temperature: range: -1..1", "temperature"),
        ("stop_sequences: each stop sequence must contain non-whitespace", "stop"),
        ("tools.0.custom.input_schema: JSON schema is invalid", "tools"),
        ("thinking.budget_tokens: Input should be greater than or equal to 1024", "reasoning"),
        ('"thinking.type.disabled" is not supported for this model.', "reasoning"),
        ("system: text content blocks must be non-empty", "messages"),
        ("output_config.format.schema: Schema type 'oneOf' is not supported", "response_format"),
        ("output_config.effort: must be at most high", "reasoning"),
        ("`temperature` may only be set to 1 when thinking is enabled.", "temperature"),
        ("metadata.user_id: String should have at most 256 characters", "metadata"),
        ("Could not process image", None),
    ],
)
def test_the_field_is_named_as_the_caller_knows_it(message, param):
    assert fault(400, message).param == param


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            "messages.3.content.1.image.source.base64.data: At least one of the image dimensions exceed max "
            "allowed size: 8000 pixels",
            "messages: At least one of the image dimensions exceed max allowed size: 8000 pixels",
        ),
        (
            "messages.5: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1.",
            "messages: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1.",
        ),
        (
            "output_config.format.schema: For 'string' type, properties minLength are not supported",
            "response_format: For 'string' type, properties minLength are not supported",
        ),
        ("tools.0.custom.input_schema: JSON schema is invalid", "tools: JSON schema is invalid"),
        (
            "`max_tokens` must be greater than `thinking.budget_tokens`.",
            "`max_tokens` must be greater than `reasoning`.",
        ),
        (
            "all messages must have content; system, tools and thinking are not at fault. See messages",
            "all messages must have content; system, tools and thinking are not at fault. See messages",
        ),
    ],
)
def test_no_path_of_theirs_is_told(message, told):
    assert fault(400, message).message == told


@pytest.mark.parametrize(
    "message",
    [
        "prompt is too long: 208310 tokens > 200000 maximum",
        "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000, decrease input length",
    ],
)
def test_a_prompt_that_is_too_long_has_the_code_that_clients_look_for(message):
    told = fault(400, message)
    assert isinstance(told, RejectedByProvider)
    assert told.code == "context_length_exceeded"


def test_a_body_that_is_too_large_is_the_callers():
    told = fault(413, "Request exceeds the maximum size")
    assert isinstance(told, RejectedByProvider)
    assert told.code == "request_too_large"


@pytest.mark.parametrize("status", [401, 402, 403])
def test_our_own_account_is_for_the_operator(status):
    told = unavailable(fault(status, "invalid x-api-key"))
    assert told.alert
    assert not told.retryable
    assert told.cause == f"anthropic: HTTP {status}, type {TYPES[status]}: invalid x-api-key"


@pytest.mark.parametrize(
    "message",
    [
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade "
        "or purchase credits.",
        "This organization has been disabled.",
        "You have reached your specified API usage limits. You will regain access on 2026-12-01.",
        "Unexpected value(s) `files-api-2025-04-14` for the `anthropic-beta` header.",
        "Your account does not have access to this feature.",
    ],
)
def test_an_account_without_credit_is_told_as_an_invalid_request(message):
    told = unavailable(fault(400, message))
    assert told.alert
    assert not told.retryable


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "organization_on_hold"),
        (400, "cmek_key_disabled"),
        (429, "contract_spend_limit_reached"),
        (429, "enforced_spend_limit_reached"),
    ],
)
def test_the_code_of_an_error_tells_more_than_its_status(status, code):
    told = unavailable(fault(status, "No.", code=code))
    assert told.alert
    assert not told.retryable
    assert told.cause == f"anthropic: HTTP {status}, type {TYPES[status]}, code {code}: No."


def test_what_quotes_the_caller_is_not_about_our_account():
    message = "messages.0.content.0.text: 'your account is overdue, purchase credits' is no valid text"
    assert isinstance(fault(400, message), RejectedByProvider)


@pytest.mark.parametrize(
    ("message", "model"),
    [
        ("model: claude-9-opus", "claude-9-opus"),
        ("The model `x` does not exist", "requested"),
    ],
)
def test_an_unknown_model_is_a_model_not_found(message, model):
    told = fault(404, message)
    assert isinstance(told, ModelNotFound)
    assert told.message == f"Model '{model}' not found"


@pytest.mark.parametrize("status", [301, 404, 405, 418])
def test_a_wrong_address_is_for_the_operator(status):
    told = unavailable(fault(status, "Not Found"))
    assert told.alert
    assert not told.retryable


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 520, 524, 529])
def test_what_passes_is_retryable(status):
    told = unavailable(fault(status, "Overloaded"))
    assert told.retryable
    assert not told.alert


def test_a_limit_of_our_rate_is_no_alert_and_no_word_of_it_is_told():
    told = unavailable(
        fault(
            429,
            "This request would exceed your organization's rate limit of 40,000 input tokens per minute.",
            {"retry-after": "7"},
        )
    )
    assert told.retryable
    assert not told.alert
    assert told.retry_after == 7.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_when_to_come_back(headers, seconds):
    assert unavailable(fault(529, headers=headers)).retry_after == seconds


def test_the_server_may_say_that_it_will_not_pass():
    assert not unavailable(fault(429, headers={"x-should-retry": "false"})).retryable
    assert unavailable(fault(429, headers={"x-should-retry": "true"})).retryable


def test_a_message_is_cleaned():
    told = fault(
        400,
        "Anthropic: image at https://files.example/a.png of request req_011CSHoEeqs5C35K2UUqR7Fy in "
        "wrkspc_01VQLazKdXNeiKgtrAY1JMbo with key sk-ant-api03-abcdefg is broken; see docs.claude.com\x1b[m",
    )
    assert isinstance(told, RejectedByProvider)
    assert "is broken" in told.message
    for internal in ("nthropic", "http", "req_", "wrkspc", "sk-ant", "claude.com", "\x1b"):
        assert internal not in told.message


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"null", b"[]", b'{"error":"plain"}', b'{"error":null}', b"\xff"]
)
@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_body_that_tells_nothing(status, body):
    told = MESSAGES.decode_error(status, {}, body)
    assert told.cause == f"anthropic: HTTP {status}"
    if status == 400:
        assert told.message == "The provider rejected the request"


@given(status=st.integers(300, 599), message=st.text(), kind=st.text(), code=st.text() | st.none())
def test_any_error_is_a_fault_that_names_nobody(status, message, kind, code):
    error = {"type": kind, "message": f"{message} anthropic sk-ant-abcdefgh", "details": {"error_code": code}}
    told = MESSAGES.decode_error(status, {}, json.dumps({"type": "error", "error": error}).encode())
    assert isinstance(told, RejectedByProvider | ModelNotFound | ProviderUnavailable)
    assert "anthropic" not in told.message.lower() or isinstance(told, ModelNotFound)
    assert "sk-ant" not in told.message
    assert told.cause is not None
    assert "sk-ant-abcdefgh" not in told.cause
