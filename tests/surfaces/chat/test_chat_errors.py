"""Faults as a caller meets them, and as OpenAI's client raises them."""

import json

import openai
import pytest
from chat_samples import client_reading

from quantized.core.errors import (
    BodyTooLarge,
    Fault,
    InsufficientCredits,
    InvalidValue,
    LedgerUnavailable,
    MalformedBody,
    MissingField,
    ModelNotFound,
    ModelNotPriced,
    ProviderUnavailable,
    RejectedByProvider,
    Unauthenticated,
    UnknownField,
    UnknownProvider,
    UnsupportedParameter,
)
from quantized.surfaces.chat.surface import ChatSurface

SURFACE = ChatSurface()

FAULTS: list[tuple[Fault, int, str, type[openai.APIStatusError]]] = [
    (MalformedBody("m"), 400, "invalid_request_error", openai.BadRequestError),
    (BodyTooLarge("m"), 413, "invalid_request_error", openai.APIStatusError),
    (UnknownField("m", param="n"), 400, "invalid_request_error", openai.BadRequestError),
    (MissingField("m"), 400, "invalid_request_error", openai.BadRequestError),
    (InvalidValue("m"), 400, "invalid_request_error", openai.BadRequestError),
    (UnknownProvider("m"), 400, "invalid_request_error", openai.BadRequestError),
    (UnsupportedParameter("m"), 400, "invalid_request_error", openai.BadRequestError),
    (ModelNotPriced("m"), 400, "invalid_request_error", openai.BadRequestError),
    (RejectedByProvider("m"), 400, "invalid_request_error", openai.BadRequestError),
    (Unauthenticated(), 401, "invalid_request_error", openai.AuthenticationError),
    (InsufficientCredits(), 402, "insufficient_quota", openai.APIStatusError),
    (ModelNotFound("x"), 404, "invalid_request_error", openai.NotFoundError),
    (ProviderUnavailable(cause="c"), 503, "server_error", openai.InternalServerError),
    (LedgerUnavailable(cause="c"), 503, "server_error", openai.InternalServerError),
]


@pytest.mark.parametrize(
    ("fault", "status", "kind", "raised"), FAULTS, ids=lambda value: type(value).__name__
)
def test_every_fault_reaches_openais_client(
    fault: Fault, status: int, kind: str, raised: type[openai.APIStatusError]
) -> None:
    answer = SURFACE.render_error(fault)
    assert answer.status == status
    with client_reading(answer.body, "application/json", status) as client, pytest.raises(raised) as caught:
        client.chat.completions.create(model="m", messages=[])
    assert caught.value.status_code == status
    assert caught.value.type == kind
    assert caught.value.param == fault.param
    assert caught.value.body == json.loads(answer.body)["error"]
    assert fault.message in caught.value.message


@pytest.mark.parametrize(
    ("fault", "message", "code"),
    [
        (Unauthenticated(cause="expired"), "Invalid API key", "invalid_api_key"),
        (InsufficientCredits(), "Insufficient credits", "insufficient_credits"),
        (ModelNotFound("x"), "Model 'x' not found", "model_not_found"),
        (ProviderUnavailable(cause="429"), "Service temporarily unavailable", "service_unavailable"),
        (BodyTooLarge("too much"), "too much", "request_too_large"),
        (UnknownField("m", code="unknown_parameter"), "m", "unknown_parameter"),
    ],
)
def test_the_words_of_the_contract(fault: Fault, message: str, code: str) -> None:
    error = json.loads(SURFACE.render_error(fault).body)["error"]
    assert error["message"] == message
    assert error["code"] == code
    assert set(error) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("seconds", "told"), [(None, None), (0.0, 0), (0.2, 1), (7.0, 7), (7.01, 8), (-3.0, 0)]
)
def test_retry_after_is_rounded_up(seconds: float | None, told: int | None) -> None:
    fault = ProviderUnavailable(cause="busy", retry_after=seconds)
    assert SURFACE.render_error(fault).retry_after == told


def test_the_cause_stays_inside() -> None:
    assert b"secret" not in SURFACE.render_error(RejectedByProvider("m", cause="secret")).body
