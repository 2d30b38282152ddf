import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantized.core.errors import Fault, ModelNotFound, ProviderUnavailable, RejectedByProvider
from quantized.core.events import Failed
from quantized.core.request import GenerationRequest
from quantized.core.usage import Usage
from quantized.providers.openai_chat.provider import OpenAIChatProvider

PROVIDER = OpenAIChatProvider("named", "http://server.test/v1", "key")


def fault(status: int, message: str = "Bad", headers: dict[str, str] | None = None, **error: Any) -> Fault:
    body = json.dumps({"error": {"message": message, **error}}).encode()
    return PROVIDER.decode_error(status, headers or {}, body)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_the_callers_own_input_comes_back_with_the_reason(status):
    told = fault(status, "max_tokens is too large: 9", param="max_tokens", code="invalid_value")
    assert isinstance(told, RejectedByProvider)
    assert (told.message, told.param, told.code) == (
        "max_tokens is too large: 9",
        "max_tokens",
        "invalid_value",
    )
    assert told.cause == f"named: HTTP {status}, code invalid_value"


@pytest.mark.parametrize(
    ("status", "message", "model"),
    [
        (400, "openai/gpt-9 is not a valid model ID", "openai/gpt-9"),
        (404, "No endpoints found for openai/gpt-9.", "openai/gpt-9"),
        (404, "The model `gpt-9` does not exist or you do not have access to it.", "gpt-9"),
        (404, 'model "gpt-9" not found, try pulling it first', "gpt-9"),
    ],
)
def test_an_unknown_model_is_a_model_not_found(status, message, model):
    told = fault(status, message)
    assert isinstance(told, ModelNotFound)
    assert told.message == f"Model '{model}' not found"


def test_parameters_that_no_endpoint_supports_are_the_callers_to_change():
    told = fault(404, "No endpoints found that can handle the requested parameters. See https://x.test/docs")
    assert isinstance(told, RejectedByProvider)
    assert told.code == "unsupported_parameter"
    assert "https" not in told.message


@pytest.mark.parametrize(
    ("status", "message"), [(401, "No auth"), (402, "Insufficient credits"), (403, "No")]
)
def test_our_own_account_is_for_the_operator(status, message):
    told = fault(status, message)
    assert isinstance(told, ProviderUnavailable)
    assert told.alert
    assert not told.retryable
    assert told.message == "Service temporarily unavailable"


def test_moderation_is_about_the_input():
    told = fault(
        403,
        "Your input was flagged",
        metadata={"reasons": ["violence"], "flagged_input": "…", "provider_name": "X"},
    )
    assert isinstance(told, RejectedByProvider)
    assert told.code == "content_filter"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 524, 529])
def test_what_passes_is_retryable(status):
    told = fault(status)
    assert isinstance(told, ProviderUnavailable)
    assert told.retryable
    assert not told.alert


@pytest.mark.parametrize("status", [301, 404, 405, 418])
def test_a_wrong_address_is_for_the_operator(status):
    told = fault(status, "what?")
    assert isinstance(told, ProviderUnavailable)
    assert told.alert
    assert not told.retryable


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({}, None),
    ],
)
def test_when_to_come_back(headers, seconds):
    told = fault(429, headers=headers)
    assert isinstance(told, ProviderUnavailable)
    assert told.retry_after == seconds


def test_a_message_is_cleaned():
    told = fault(
        400,
        "OpenAI: This model's maximum context length is 8192 tokens (request ID req_0123456789abcdef) for "
        "org-AbCdEfGh12345 key sk-proj-abcdefghijkl; see https://platform.openai.com/docs, contact "
        "help.openai.com or 10.1.2.3:8000\x00\x1b[31m",
    )
    assert "maximum context length is 8192 tokens" in told.message
    for internal in ("OpenAI", "openai", "req_", "org-", "sk-", "http", "10.1", "\x00", "\x1b"):
        assert internal not in told.message
    told = fault(400, "Filtered by Azure OpenAI's content management policy")
    assert told.message == "Filtered by the provider's content management policy"
    told = fault(401, "Incorrect API key provided: sk-proj-abcdefghijkl")
    assert told.cause == "named: HTTP 401: Incorrect API key provided: …"


def test_messages_and_causes_are_bounded():
    told = fault(400, "x" * 100_000)
    assert len(told.message) <= 500
    assert told.cause == "named: HTTP 400"
    told = fault(500, "x" * 100_000, code="y" * 1_000)
    assert told.cause == "named: HTTP 500"
    told = fault(429, "x" * 100_000, code="y" * 1_000)
    assert told.cause == f"named: HTTP 429: {'x' * 200}"


def test_the_reason_behind_a_router_is_told():
    raw = json.dumps({"error": {"message": "Image is too large", "type": "invalid_request_error"}})
    told = fault(400, "Provider returned error", metadata={"raw": raw, "provider_name": "X"})
    assert "Image is too large" in told.message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b'"text"',
        b'{"detail":[{"msg":"x"}]}',
        b'{"error":"plain"}',
        b"\xff",
        b'"\xff"',
    ],
)
def test_any_body_will_do(body):
    assert isinstance(PROVIDER.decode_error(400, {}, body), RejectedByProvider)
    assert isinstance(PROVIDER.decode_error(502, {}, body), ProviderUnavailable)


VALIDATED = [
    {"type": "extra_forbidden", "loc": ["body", "messages", 0, "user", "name"], "msg": "Not permitted"},
    {"loc": ["body", "seed"], "msg": "Not permitted", "input": 7},
]
PLACES = "messages[0].user.name: Not permitted; seed: Not permitted"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"detail": VALIDATED}, PLACES),
        ({"object": "error", "message": {"detail": VALIDATED}, "type": "invalid_request_error"}, PLACES),
        ({"object": "error", "message": VALIDATED, "detail": VALIDATED}, PLACES),
        ({"error": {"message": {"message": "Too long", "code": 7}}}, "Too long"),
        ({"message": "", "detail": "Too long"}, "Too long"),
        ({"detail": [{"msg": "Too long"}, 7, {"loc": 7, "msg": "Too wide"}]}, "Too long; Too wide"),
        ({"detail": {"reason": "Too long"}}, '{"reason":"Too long"}'),
    ],
)
def test_a_reason_in_pieces_is_told_with_its_places(body, reason):
    told = PROVIDER.decode_error(422, {}, json.dumps(body).encode())
    assert isinstance(told, RejectedByProvider)
    assert told.message == reason


@pytest.mark.parametrize("field", ["message", "detail"])
def test_no_depth_of_a_reason_is_too_deep(field):
    for depth in range(900, 1010):
        body = b'{"%s":%s1%s}' % (field.encode(), b"[" * depth, b"]" * depth)
        assert isinstance(PROVIDER.decode_error(400, {}, body), RejectedByProvider)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "code", "type", "metadata", "raw", "param", "detail", "status"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(st.integers(300, 599), JSON)
def test_no_error_body_is_too_strange(status, body):
    told = PROVIDER.decode_error(status, {}, json.dumps(body).encode())
    assert told.message


@pytest.mark.parametrize(
    ("code", "kind", "retryable"),
    [
        (429, ProviderUnavailable, True),
        ("429", ProviderUnavailable, True),
        ("rate_limit_exceeded", ProviderUnavailable, True),
        (402, ProviderUnavailable, False),
        ("server_error", ProviderUnavailable, True),
        ("who_knows", ProviderUnavailable, False),
        (None, ProviderUnavailable, False),
        (400, RejectedByProvider, None),
        ("context_length_exceeded", RejectedByProvider, None),
    ],
)
def test_an_error_inside_a_200_means_what_its_code_says(code, kind, retryable):
    request = GenerationRequest(model="author/model", messages=())
    body = json.dumps({"error": {"code": code, "message": "Too long"}}).encode()
    (failed,) = PROVIDER.decode_body(request, body)
    assert isinstance(failed, Failed)
    assert isinstance(failed.fault, kind)
    if isinstance(failed.fault, ProviderUnavailable):
        assert failed.fault.retryable is retryable
    decoder = PROVIDER.decoder(request)
    (((_, (streamed,))),) = decoder.feed(b"data: " + body + b"\n\n")
    assert isinstance(streamed, Failed)
    assert type(streamed.fault) is type(failed.fault)


WORK = {"id": "c1", "choices": [{"message": {"content": "Paris"}, "finish_reason": "stop"}]}
COUNTED = {"prompt_tokens": 5, "completion_tokens": 3, "cost": 0.25}
UNENDED = [{"message": {"content": "Paris"}, "finish_reason": None}]


@pytest.mark.parametrize(
    ("answer", "retryable"),
    [
        ({"choices": UNENDED}, False),
        ({"choices": [{**WORK["choices"][0], "finish_reason": "no_such_reason"}]}, False),
        ({"choices": [{**WORK["choices"][0], "error": {"code": 502, "message": "Lost"}}]}, False),
        ({**WORK, "error": {"code": 502, "message": "Lost"}}, False),
        ({"choices": []}, False),
        ({"error": {"code": 502, "message": "Lost"}}, False),
        ({"choices": [{"message": {"content": 5}}]}, False),
        ({"choices": [], "usage": None}, True),
        ({"error": {"code": 502, "message": "Lost"}, "usage": None}, True),
    ],
)
def test_an_answer_that_was_worked_for_is_not_asked_for_again(answer, retryable):
    """And what it took is known."""
    body = json.dumps({"usage": COUNTED, **answer}).encode()
    *_, failed = PROVIDER.decode_body(GenerationRequest(model="m", messages=()), body)
    assert isinstance(failed, Failed)
    assert isinstance(failed.fault, ProviderUnavailable)
    assert failed.fault.retryable is retryable
    if not retryable and answer.get("choices") != [{"message": {"content": 5}}]:
        assert failed.usage == Usage(input=5, output=3)
        assert failed.cost == 250_000_000_000


@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"{}", b'{"choices":[]}'])
def test_what_is_no_answer_at_all_may_be_asked_for_again(body):
    (failed,) = PROVIDER.decode_body(GenerationRequest(model="m", messages=()), body)
    assert isinstance(failed, Failed)
    assert isinstance(failed.fault, ProviderUnavailable)
    assert failed.fault.retryable


PROMPT = "what-the-caller-wrote"
ECHOES = [
    {"message": f"Cannot parse {PROMPT}"},
    {
        "message": "Bad",
        "detail": PROMPT,
        "param": PROMPT,
        "code": f"bad {PROMPT} here",
        "type": f"{PROMPT} !",
    },
    {"detail": [{"msg": "wrong", "input": PROMPT}]},
    {"message": {"detail": [{"loc": ["body", PROMPT], "msg": PROMPT}]}},
    {"message": "Bad", "metadata": {"raw": PROMPT, "flagged_input": PROMPT, "reasons": [PROMPT]}},
    {"message": "Bad", "metadata": {"raw": json.dumps({"error": {"message": PROMPT}})}},
    {"message": f"{PROMPT} is not a valid model ID"},
    {"message": f"The model `x` does not exist. {PROMPT}"},
    {"message": f"No endpoints found that can handle {PROMPT}"},
    {"message": f"Your input was flagged: {PROMPT}"},
    PROMPT,
    [PROMPT],
]


@pytest.mark.parametrize("echo", ECHOES)
def test_what_a_server_quotes_of_the_prompt_never_reaches_the_log(echo):
    bodies = [json.dumps(one).encode() for one in ({"error": echo}, echo, {"choices": [{"error": echo}]})]
    bodies.append(f"<html>{PROMPT}</html>".encode())
    request = GenerationRequest(model="m", messages=())
    for body in bodies:
        for status in (301, 400, 404, 405, 408, 413, 415, 418, 422):
            told = PROVIDER.decode_error(status, {}, body)
            assert PROMPT not in f"{told.cause} {told.code}"
        *_, failed = PROVIDER.decode_body(request, body)
        assert isinstance(failed, Failed)
        assert PROMPT not in (failed.fault.cause or "")
    moderated = PROVIDER.decode_error(403, {}, bodies[0])
    if isinstance(moderated, RejectedByProvider):
        assert PROMPT not in (moderated.cause or "")


@pytest.mark.parametrize("status", [403, 500, 502, 503])
def test_a_server_that_broke_over_a_request_is_not_quoted(status):
    told = PROVIDER.decode_error(status, {}, f"<html>{PROMPT}</html>".encode())
    assert told.cause == f"named: HTTP {status}"
    quoted = {"detail": PROMPT, "metadata": {"raw": PROMPT}}
    told = fault(status, f"Overloaded {PROMPT}", code="busy", type="server_error", **quoted)
    assert told.cause == f"named: HTTP {status}, code busy, type server_error"


@pytest.mark.parametrize("status", [401, 402, 407, 429])
@pytest.mark.parametrize(
    ("message", "kept"),
    [
        (f"error parsing tool call: raw='{PROMPT}', err=x", "error parsing tool call: raw"),
        (f"You can't have `{PROMPT}`", "You can't have"),
        (f'Not now: "{PROMPT}"', "Not now"),
        (f"Not now, {{{PROMPT}}}", "Not now"),
        (f"Not now\n{PROMPT}", "Not now"),
        (f"Not now (“{PROMPT}”)", "Not now"),
        (f"‘{PROMPT}’ is too much", ""),
        ("Rate limit exceeded: free-models-per-day", "Rate limit exceeded: free-models-per-day"),
    ],
)
def test_one_that_has_not_read_a_request_is_quoted_up_to_what_it_quotes(status, message, kept):
    error = {"error": {"message": message, "code": status, "metadata": {"raw": PROMPT}}}
    where = f", code {status}" + (f": {kept}" if kept else "")
    told = PROVIDER.decode_error(status, {}, json.dumps(error).encode())
    assert told.cause == f"named: HTTP {status}{where}"
    (failed,) = PROVIDER.decode_body(GenerationRequest(model="m", messages=()), json.dumps(error).encode())
    assert isinstance(failed, Failed)
    assert failed.fault.cause == f"named: error in the answer{where}"


@pytest.mark.parametrize(
    "answer",
    [
        {"choices": [{"message": {"content": "a"}, "finish_reason": f"{PROMPT} " * 100}]},
        {"choices": [{"message": {"content": "a"}, "finish_reason": [PROMPT]}]},
        {"choices": [{"message": {"content": {PROMPT: 1}}}]},
        {"choices": PROMPT},
    ],
)
def test_a_broken_answer_is_not_quoted_in_the_log(answer):
    *_, failed = PROVIDER.decode_body(GenerationRequest(model="m", messages=()), json.dumps(answer).encode())
    assert isinstance(failed, Failed)
    assert PROMPT not in (failed.fault.cause or "")
