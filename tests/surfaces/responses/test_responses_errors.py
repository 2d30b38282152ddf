"""Faults as a caller of responses reads them."""

import json

import openai
import pytest
from responses_samples import SURFACE, client_reading

from quantized.core.errors import (
    BodyTooLarge,
    ConversationTooLong,
    InsufficientCredits,
    InvalidValue,
    LedgerUnavailable,
    MalformedBody,
    MissingField,
    ModelNotFound,
    ModelNotPriced,
    NotStored,
    ProviderUnavailable,
    RejectedByProvider,
    ResponseNotFound,
    Unauthenticated,
    UnknownField,
    UnknownProvider,
    UnsupportedParameter,
)

FAULTS = [
    (MalformedBody("m"), 400, "invalid_request_error", None),
    (MissingField("m", param="model"), 400, "invalid_request_error", None),
    (MissingField("m", param="input[0].role"), 422, "invalid_request_error", None),
    (InvalidValue("m", param="temperature"), 400, "invalid_request_error", None),
    (InvalidValue("m", param="reasoning.effort"), 422, "invalid_request_error", None),
    (InvalidValue("m", param="tools[0]"), 422, "invalid_request_error", None),
    (UnknownField("m", param="store"), 422, "invalid_request_error", "unknown_parameter"),
    (UnknownField("m", param="input[0].x"), 422, "invalid_request_error", "unknown_parameter"),
    (
        UnsupportedParameter("m", param="reasoning.effort"),
        400,
        "invalid_request_error",
        "unsupported_parameter",
    ),
    (BodyTooLarge("m"), 413, "invalid_request_error", "request_too_large"),
    (UnknownProvider("m"), 400, "invalid_request_error", "unknown_provider"),
    (ModelNotPriced("m"), 400, "invalid_request_error", "model_not_priced"),
    (RejectedByProvider("m"), 400, "invalid_request_error", "rejected_by_provider"),
    (NotStored("m", param="previous_response_id"), 400, "invalid_request_error", None),
    (ConversationTooLong("m", param="previous_response_id"), 400, "invalid_request_error", None),
    (Unauthenticated(), 401, "invalid_request_error", "invalid_api_key"),
    (InsufficientCredits(), 402, "insufficient_quota", "insufficient_credits"),
    (ModelNotFound("x"), 404, "invalid_request_error", "model_not_found"),
    (ResponseNotFound("resp-1"), 404, "invalid_request_error", "response_not_found"),
    (ProviderUnavailable(cause="secret"), 503, "server_error", "service_unavailable"),
    (LedgerUnavailable(cause="secret"), 503, "server_error", "service_unavailable"),
]


@pytest.mark.parametrize(("fault", "status", "kind", "code"), FAULTS)
def test_each_fault(fault, status, kind, code):
    answer = SURFACE.render_error(fault)
    assert answer.status == status
    error = json.loads(answer.body)["error"]
    assert error == {"message": fault.message, "type": kind, "param": fault.param, "code": code}
    assert b"secret" not in answer.body


def test_retry_after_is_rounded_up():
    assert SURFACE.render_error(ProviderUnavailable(cause="x", retry_after=1.2)).retry_after == 2
    assert SURFACE.render_error(ProviderUnavailable(cause="x")).retry_after is None


def test_the_sdk_reads_a_422():
    fault = UnknownField("Unknown field 'store'.", param="store", code="unknown_parameter")
    answer = SURFACE.render_error(fault)
    with (
        client_reading(answer.body, "application/json", answer.status) as client,
        pytest.raises(openai.UnprocessableEntityError) as caught,
    ):
        client.responses.create(model="m", input="Hi")
    assert (caught.value.param, caught.value.code) == ("store", "unknown_parameter")


CHAT = [
    (
        UnsupportedParameter(
            "'web_search_options' is not supported by the provider 'x'", param="web_search_options"
        ),
        "'web_search' in 'tools' is not supported by the provider 'x'",
        "tools",
    ),
    (
        UnsupportedParameter(
            "'web_search_options.search_context_size' is not supported by the provider 'x': leave it out",
            param="web_search_options.search_context_size",
        ),
        "'search_context_size' of the tool 'web_search' is not supported by the provider 'x': leave it out",
        "tools",
    ),
    (
        RejectedByProvider("max_tokens is too large: 5000. At most 4096.", param="max_tokens"),
        "max_output_tokens is too large: 5000. At most 4096.",
        "max_output_tokens",
    ),
    (
        RejectedByProvider("Invalid 'max_completion_tokens'", param="max_completion_tokens"),
        "Invalid 'max_output_tokens'",
        "max_output_tokens",
    ),
    (
        RejectedByProvider(
            "Invalid 'messages[2].content[0].image_url': too large", param="messages[2].content"
        ),
        "Invalid 'input': too large",
        "input",
    ),
    (RejectedByProvider("messages.0.content: text is empty"), "input: text is empty", None),
    (RejectedByProvider("messages: text is empty", param="messages"), "input: text is empty", "input"),
    (
        RejectedByProvider("Your messages are too long. See 'messages'.", param="messages"),
        "Your messages are too long. See 'input'.",
        "input",
    ),
    (
        RejectedByProvider("Unsupported value: reasoning_effort", param="reasoning_effort"),
        "Unsupported value: reasoning.effort",
        "reasoning.effort",
    ),
    (RejectedByProvider("Bad schema", param="tools[1].function.parameters"), "Bad schema", "tools"),
    (UnsupportedParameter("m", param="reasoning.exclude"), "m", "reasoning.exclude"),
    # What the caller wrote stays as the caller wrote it.
    (
        UnknownField("Unknown parameter 'max_tokens'.", param="max_tokens"),
        "Unknown parameter 'max_tokens'.",
        "max_tokens",
    ),
    (InvalidValue("m", param="tools[1].name"), "m", "tools[1].name"),
]


@pytest.mark.parametrize(("fault", "message", "param"), CHAT)
def test_a_provider_is_told_in_the_words_of_this_api(fault, message, param):
    error = json.loads(SURFACE.render_error(fault).body)["error"]
    assert (error["message"], error["param"]) == (message, param)
