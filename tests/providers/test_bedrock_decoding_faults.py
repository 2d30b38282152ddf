"""What Bedrock's errors mean, what the caller reads of them, and what the log."""

import json
from typing import Any

import botocore.session
import pytest
from converse_answers import failure, told
from converse_tapes import START, exception, framed, text
from eventstream_encoder import frame
from hypothesis import given
from hypothesis import strategies as st
from taped import CONVERSE

from quantized.core.errors import Fault, ModelNotFound, ProviderUnavailable, RejectedByProvider

SERVICE = botocore.session.get_session().get_service_model("bedrock-runtime")
MODELED = {
    shape.name: shape.metadata["error"]["httpStatusCode"]
    for operation in ("Converse", "ConverseStream")
    for shape in SERVICE.operation_model(operation).error_shapes
}
QUOTA = "ServiceQuotaExceededException"


def fault(
    status: int, name: str = "", message: str = "Bad.", headers: dict[str, str] | None = None, **more: Any
) -> Fault:
    named = {"x-amzn-errortype": f"{name}:http://internal.amazon.com/coral/{name}/"} if name else {}
    body = json.dumps({"message": message, **more}).encode()
    return CONVERSE.decode_error(status, {**named, **(headers or {})}, body)


def validation(message: str) -> Fault:
    return fault(400, "ValidationException", message)


def unavailable(fault: Fault) -> ProviderUnavailable:
    assert isinstance(fault, ProviderUnavailable)
    assert fault.message == "Service temporarily unavailable"
    return fault


def ours(fault: Fault) -> ProviderUnavailable:
    gone = unavailable(fault)
    assert gone.alert
    assert not gone.retryable
    return gone


def passing(fault: Fault) -> ProviderUnavailable:
    gone = unavailable(fault)
    assert gone.retryable
    assert not gone.alert
    return gone


def rejected(fault: Fault) -> RejectedByProvider:
    assert isinstance(fault, RejectedByProvider)
    return fault


EXPECTED = {
    "AccessDeniedException": ours,
    "InternalServerException": passing,
    "ModelErrorException": passing,
    "ModelNotReadyException": passing,
    "ModelStreamErrorException": passing,
    "ModelTimeoutException": passing,
    "ResourceNotFoundException": lambda fault: isinstance(fault, ModelNotFound) or pytest.fail("found"),
    "ServiceUnavailableException": passing,
    "ThrottlingException": passing,
    "ValidationException": rejected,
}


@pytest.mark.parametrize("name", MODELED)
def test_every_exception_that_botocore_knows(name):
    EXPECTED[name](fault(MODELED[name], name))


@pytest.mark.parametrize("name", [name for name in EXPECTED if name != "ResourceNotFoundException"])
def test_every_exception_in_a_stream(name):
    kind = name[0].lower() + name[1:]
    EXPECTED[name](failure(told(exception(kind, "Bad."))).fault)
    begun = failure(told(framed([START, *text(0, "Hi")]), exception(kind, "Bad."))).fault
    assert not isinstance(begun, ProviderUnavailable) or not begun.retryable


@pytest.mark.parametrize(
    ("status", "name"),
    [
        (403, "ExpiredTokenException"),
        (400, "ExpiredTokenException"),
        (403, "UnrecognizedClientException"),
        (403, "InvalidSignatureException"),
        (403, "SignatureDoesNotMatch"),
        (403, "IncompleteSignatureException"),
        (400, "MissingAuthenticationTokenException"),
        (403, "InvalidClientTokenId"),
        (403, "AccessDeniedException"),
        (400, "RequestExpired"),
        (400, QUOTA),
        (403, "SomethingNewException"),
        (401, ""),
        (403, ""),
        (407, ""),
    ],
)
def test_our_credentials_and_our_account_are_for_the_operator(status, name):
    gone = ours(fault(status, name, "The security token included in the request is expired"))
    assert (gone.cause or "").endswith("The security token included in the request is expired")
    assert name in (gone.cause or "")


@pytest.mark.parametrize(
    ("status", "name", "message"),
    [
        (400, "ValidationException", "Operation not allowed"),
        (400, "ValidationException", "Your account is not authorized to invoke this API operation."),
        (400, "ValidationException", "Access to Bedrock models is not allowed for this account."),
        (
            404,
            "ResourceNotFoundException",
            "Model use case details have not been submitted for this account. Fill out the Anthropic use "
            "case details form before using the model.",
        ),
        (400, "ValidationException", "You don't have access to the model with the specified model ID."),
        (400, "ValidationException", "Model access is denied due to INVALID_PAYMENT_INSTRUMENT"),
        (429, "ThrottlingException", "Too many tokens per day, please wait before trying again."),
    ],
)
def test_an_account_that_may_not_is_told_in_many_ways(status, name, message):
    assert message[:20] in (ours(fault(status, name, message)).cause or "")


def test_what_quotes_the_caller_is_not_about_our_account():
    rejected(validation("The model returned the following errors: messages.0: 'your account' is no text"))
    rejected(validation("messages.1.content.0: Invalid `signature` in `thinking` block"))


@pytest.mark.parametrize(
    "message",
    [
        "The provided model identifier is invalid.",
        "Invocation of model ID anthropic.claude-3-5-sonnet-20241022-v2:0 with on-demand throughput isn’t "
        "supported. Retry your request with the ID or ARN of an inference profile that contains this model.",
        "The provided model doesn't support on-demand throughput.",
        "This action doesn't support the model that you provided. Try again with a supported text or chat "
        "model.",
    ],
)
def test_a_model_that_is_not_there(message):
    gone = validation(message)
    assert isinstance(gone, ModelNotFound)
    assert gone.message == "Model 'requested' not found"
    assert message[:40] in (gone.cause or "")
    in_a_stream = failure(told(exception("validationException", message))).fault
    assert in_a_stream.message == "Model 'm' not found"


@pytest.mark.parametrize("message", ["Model not found.", "Could not resolve the foundation model", ""])
def test_a_resource_that_is_not_there_is_the_model(message):
    assert isinstance(fault(404, "ResourceNotFoundException", message), ModelNotFound)


@pytest.mark.parametrize(
    ("status", "name"), [(404, ""), (404, "UnknownOperationException"), (301, ""), (405, "")]
)
def test_a_wrong_address_is_for_the_operator(status, name):
    ours(fault(status, name, "Not Found"))


@pytest.mark.parametrize(
    ("message", "param"),
    [
        (
            "The maximum tokens you requested exceeds the model limit of 10000. Try again with a maximum "
            "tokens value that is lower than 10000.",
            "max_tokens",
        ),
        (
            "1 validation error detected: Value '1.5' at 'inferenceConfig.temperature' failed to satisfy "
            "constraint: Member must have value less than or equal to 1",
            "temperature",
        ),
        (
            "Malformed input request: #/top_p: 2 is not less or equal to 1, please reformat your input and "
            "try again.",
            "top_p",
        ),
        ("The model returned the following errors: max_tokens: 99 > 64, which is the maximum", "max_tokens"),
        ("messages.0.content.1: Could not process image", "messages"),
        ("The toolConfig field must be defined when using toolUse and toolResult content blocks.", "tools"),
        ("This model doesn't support tool use.", None),
        ("stopSequences: too many", "stop"),
        ("The model returned the following errors: Could not process image", None),
    ],
)
def test_the_callers_own_input_comes_back_with_the_reason(message, param):
    told_back = rejected(validation(message))
    assert told_back.param == param
    assert told_back.message
    assert "returned the following" not in told_back.message
    assert told_back.cause == "bedrock: HTTP 400, ValidationException", "what quotes a caller is not logged"


@pytest.mark.parametrize(
    "message",
    [
        "Input is too long for requested model.",
        "The model returned the following errors: prompt is too long: 208310 tokens > 200000 maximum",
        "The model returned the following errors: input length and `max_tokens` exceed context limit: 3 > 2",
        "Input Tokens Exceeded: Number of input tokens exceeds maximum length.",
        "Too many input tokens. Max input tokens: 128000, request input token count: 130000",
        "This model's maximum context length is 131072 tokens.",
    ],
)
def test_a_prompt_that_is_too_long_has_the_code_that_clients_look_for(message):
    assert rejected(validation(message)).code == "context_length_exceeded"


def test_a_body_that_is_too_large_is_the_callers():
    assert rejected(fault(413)).code == "request_too_large"


@pytest.mark.parametrize("status", [408, 424, 429, 500, 502, 503, 504])
def test_what_passes_is_retryable(status):
    """What it says is logged only where nothing of the request has been looked at."""
    told_back = ": Slow down." if status == 429 else ""
    message = 'Slow down. "What the caller wrote"'
    assert passing(fault(status, message=message)).cause == f"bedrock: HTTP {status}{told_back}"


def test_when_to_come_back():
    gone = passing(fault(429, "ThrottlingException", headers={"retry-after": "7"}))
    assert gone.retry_after == 7.0
    assert passing(fault(503)).retry_after is None


def test_the_name_may_be_in_the_body():
    body = {"__type": "com.amazon.coral.service#ExpiredTokenException", "Message": "Expired"}
    gone = CONVERSE.decode_error(400, {}, json.dumps(body).encode())
    assert ours(gone).cause == "bedrock: HTTP 400, ExpiredTokenException: Expired"


def test_an_error_that_no_model_knows_is_told_in_headers():
    headers = {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "Sorry."}
    gone = passing(failure(told(frame(headers, b""))).fault)
    assert gone.cause == "bedrock: exception in the answer, InternalFailure"


def test_the_model_behind_may_have_said_it():
    gone = failure(told(exception("modelStreamErrorException", "", originalMessage="It broke off."))).fault
    assert passing(gone).cause == "bedrock: exception in the answer, modelStreamErrorException"


def test_an_exception_that_nobody_knows_is_nobodys():
    gone = unavailable(failure(told(exception("newsException", "Well."))).fault)
    assert not gone.retryable
    assert not gone.alert


def test_a_message_is_cleaned():
    told_back = rejected(
        validation(
            "Amazon Bedrock: image of arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.x-v1:0 in "
            "account 123456789012 by AKIAIOSFODNN7EXAMPLE with ABSKQmVkcm9ja0FQSUtleS1hYmNk at "
            "https://bedrock-runtime.us-east-1.amazonaws.com/model or "
            "bedrock-runtime.us-east-1.amazonaws.com (request "
            "7a4bfff1-fdfb-4bda-70e8-81cc52a9189c) is broken\x1b[m"
        )
    )
    assert "is broken" in told_back.message
    internals = ("arn", "1234", "AKIA", "ABSK", "http", "amazonaws", "7a4b", "edrock", "mazon", "\x1b")
    for internal in internals:
        assert internal not in told_back.message


def test_no_secret_is_logged():
    gone = ours(
        fault(403, "AccessDeniedException", "Key AKIAIOSFODNN7EXAMPLE of ABSKQmVkcm9ja0FQSUtleS1hYmNk")
    )
    assert "AKIA" not in (gone.cause or "")
    assert "ABSK" not in (gone.cause or "")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"null", b"[]", b'{"message":null}', b'{"message":7}', b"\xff", b"[" * 100_000]
)
@pytest.mark.parametrize("status", [400, 404, 500])
def test_a_body_that_tells_nothing(status, body):
    gone = CONVERSE.decode_error(status, {}, body)
    assert gone.cause == f"bedrock: HTTP {status}"
    if status == 400:
        assert gone.message == "The provider rejected the request"


@given(
    status=st.integers(300, 599),
    name=st.sampled_from([*MODELED, "", "x", "a#b:c", "\n"]) | st.text(),
    message=st.text(),
)
def test_any_error_is_a_fault_that_names_nobody(status, name, message):
    gone = fault(status, name, f"{message} arn:aws:bedrock:us-east-1:123456789012:x AKIAIOSFODNN7EXAMPLE")
    assert isinstance(gone, RejectedByProvider | ModelNotFound | ProviderUnavailable)
    assert "arn:" not in gone.message
    assert "AKIA" not in gone.message + (gone.cause or "")


def test_a_model_without_eyes_is_the_callers_mistake_and_not_a_model_that_is_not_there():
    told = validation("The provided model doesn't support image inputs.")
    assert isinstance(told, RejectedByProvider)


def test_a_day_that_is_spent_is_no_mistake_of_the_callers():
    told = unavailable(validation("Too many tokens per day, please wait before trying again."))
    assert told.alert
    assert not told.retryable


@pytest.mark.parametrize(
    "inside",
    [
        "role/MyRole",
        "assumed-role/MyRole/i-0123456789abcdef0",
        "s3://campus-private/doc.pdf",
        "us-east-1",
        "ap-southeast-2",
        "us-gov-west-1",
        "vpce-0a1b2c3d4e5f-abc",
        "i-0123456789abcdef0",
    ],
)
def test_what_lies_inside_is_not_told(inside: str):
    told = validation(f"The thing {inside} is wrong.")
    assert isinstance(told, RejectedByProvider)
    assert told.message == "The thing … is wrong."
