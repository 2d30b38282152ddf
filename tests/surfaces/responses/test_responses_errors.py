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
