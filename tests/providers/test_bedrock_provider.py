import json
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from botocore.session import get_session
from converse_requests import CLAUDE, HELLO, LLAMA, LLAMA_4, MISTRAL, NOVA, PROFILE, called, result, user
from msgspec.structs import replace

from quantized.core.errors import ProviderUnavailable, UnsupportedParameter
from quantized.core.events import Failed, Finished, Sealed
from quantized.core.request import Sampling, Tool
from quantized.providers.bedrock.endpoint import runtime_url
from quantized.providers.bedrock.provider import BedrockProvider
from quantized.providers.bedrock.signing import BearerToken
from quantized.providers.provider import Target

BEDROCK = BedrockProvider("eu-west-1", BearerToken("key"))
LOOP = replace(HELLO, messages=(user("Hi"), called("c"), result("c", "1")))
CALLS = json.dumps(
    {
        "output": {
            "message": {
                "role": "assistant",
                "content": [{"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}],
            }
        },
        "stopReason": "tool_use",
        "usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7},
    }
).encode()

THOUGHT = json.dumps(
    {
        "output": {
            "message": {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "c2ln"}}},
                    {"text": "Hello"},
                ],
            }
        },
        "stopReason": "end_turn",
        "usage": {"inputTokens": 3, "outputTokens": 4, "totalTokens": 7},
    }
).encode()


def test_calls_go_to_the_region():
    call = BEDROCK.encode(HELLO, Target(CLAUDE, 9))
    assert call.url == (
        "https://bedrock-runtime.eu-west-1.amazonaws.com/model/"
        "us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    )
    assert dict(call.headers) == {"content-type": "application/json", "accept": "application/json"}


def test_an_arn_is_one_segment_of_the_path_and_streams_have_theirs():
    call = BEDROCK.encode(replace(HELLO, stream=True), Target(PROFILE, 9))
    path = urlsplit(call.url).path
    assert path == (
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Ffm16bt65tzgx"
        "/converse-stream"
    )
    assert ("accept", "application/vnd.amazon.eventstream") in call.headers
    assert "stream" not in json.loads(call.body)


def test_another_endpoint_takes_the_regions_place():
    elsewhere = BedrockProvider("eu-west-1", BearerToken("key"), endpoint="http://127.0.0.1:9/")
    assert elsewhere.encode(HELLO, Target("a.b", 1)).url == "http://127.0.0.1:9/model/a.b/converse"


def test_the_credential_is_put_on_last():
    call = BEDROCK.encode(HELLO, Target(CLAUDE, 9))
    signed = BEDROCK.authorize(call, datetime(2026, 1, 1, tzinfo=UTC))
    assert signed.headers == (*call.headers, ("authorization", "Bearer key"))


def test_a_cap_is_always_sent():
    assert BEDROCK.capabilities.cap_required
    assert BEDROCK.capabilities.language == "bedrock_converse"


def test_a_call_is_passed_on_where_one_is_allowed_and_nowhere_else():
    allowed = replace(LOOP, tools=(Tool("f"),))
    assert isinstance(BEDROCK.decode_body(allowed, CALLS)[-1], Finished)
    (failed,) = BEDROCK.decode_body(LOOP, CALLS)
    assert isinstance(failed, Failed)
    assert isinstance(failed.fault, ProviderUnavailable)
    assert failed.usage is not None
    assert type(BEDROCK.decoder(allowed)) is not type(BEDROCK.decoder(LOOP))


@pytest.mark.parametrize("model", [LLAMA, LLAMA_4, MISTRAL, PROFILE, "deepseek.v3.2", "newcomer.model-1"])
@pytest.mark.parametrize(
    ("changed", "streamed"),
    [({}, True), ({"tools": (Tool("f"),)}, False), ({"messages": LOOP.messages}, False)],
)
def test_many_models_are_not_asked_for_a_stream_where_tools_are_told_of(model, changed, streamed):
    request = replace(HELLO, stream=True, model=model, **changed)
    call = BEDROCK.encode(request, Target(model, 9))
    assert call.url.endswith("/converse-stream" if streamed else "/converse")
    accept = "application/vnd.amazon.eventstream" if streamed else "application/json"
    assert dict(call.headers)["accept"] == accept
    assert ("toolConfig" in json.loads(call.body)) is not streamed


@pytest.mark.parametrize("model", [CLAUDE, NOVA])
def test_others_are(model):
    request = replace(HELLO, stream=True, model=model, tools=(Tool("f"),))
    assert BEDROCK.encode(request, Target(model, 9)).url.endswith("/converse-stream")


def heard(provider, request, *pieces):
    decoder = provider.decoder(request)
    fed = [event for piece in pieces for _, events in decoder.feed(piece) for event in events]
    return [*fed, *decoder.close(), *decoder.close()]


def test_a_whole_answer_is_told_as_a_stream_at_its_end():
    request = replace(HELLO, stream=True, model=LLAMA, tools=(Tool("f"),))
    told = heard(BEDROCK, request, CALLS[:40], CALLS[40:])
    assert told == list(BEDROCK.decode_body(request, CALLS))
    assert isinstance(told[-1], Finished)
    (*_, failed) = heard(BEDROCK, request, CALLS[:-9])
    assert isinstance(failed, Failed)
    (*_, failed) = heard(BEDROCK, replace(LOOP, stream=True, model=LLAMA), CALLS)
    assert isinstance(failed, Failed)
    assert failed.usage is not None


def test_it_is_no_longer_than_any_other():
    request = replace(HELLO, stream=True, model=LLAMA, tools=(Tool("f"),))
    just = BedrockProvider("eu-west-1", BearerToken("key"), answer_bytes=len(CALLS))
    assert isinstance(heard(just, request, CALLS)[-1], Finished)
    (failed,) = heard(just, request, CALLS, b" ", CALLS)
    assert isinstance(failed, Failed)
    assert isinstance(failed.fault, ProviderUnavailable)
    assert not failed.fault.retryable


def test_what_an_arn_can_is_what_the_model_behind_it_can():
    behind = BedrockProvider(
        "eu-west-1", BearerToken("key"), profiles={PROFILE: "anthropic/claude-sonnet-4.5"}
    )
    request = replace(HELLO, stream=True, model=PROFILE, tools=(Tool("f"),), sampling=Sampling(top_k=5))
    call = behind.encode(request, Target(PROFILE, 9))
    assert "application-inference-profile" in call.url
    assert call.url.endswith("/converse-stream")
    assert json.loads(call.body)["additionalModelRequestFields"] == {"top_k": 5}
    assert type(behind.decoder(request)) is not type(BEDROCK.decoder(request))
    with pytest.raises(UnsupportedParameter):
        BEDROCK.encode(request, Target(PROFILE, 9))
    thought = behind.decode_body(replace(HELLO, model=PROFILE), THOUGHT)
    [sealed] = [event for event in thought if isinstance(event, Sealed)]
    assert json.loads(sealed.seal.payload)["family"] == "anthropic"


@pytest.mark.parametrize(
    "region",
    [
        *("eu-west-1", "us-gov-west-1", "cn-north-1", "us-iso-east-1", "us-isob-east-1", "us-isof-south-1"),
        *("eu-isoe-west-1", "eusc-de-east-1"),
    ],
)
def test_every_region_has_its_partitions_domain(region):
    """As botocore knows them."""
    session = get_session()
    partition = session.get_partition_for_region(region)
    domains = {one["partition"]: one["dnsSuffix"] for one in session.get_data("endpoints")["partitions"]}
    assert runtime_url(region) == f"https://bedrock-runtime.{region}.{domains[partition]}"
