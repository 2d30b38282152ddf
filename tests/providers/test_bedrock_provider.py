import json
from datetime import UTC, datetime
from urllib.parse import urlsplit

from converse_requests import CLAUDE, HELLO, PROFILE, called, result, user
from msgspec.structs import replace

from quantized.core.errors import ProviderUnavailable
from quantized.core.events import Failed, Finished
from quantized.core.request import Tool
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
