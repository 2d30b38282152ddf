"""The imitated Bedrock refuses what the real one refuses: what the tests with it rest on."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from anthropic_server_answers import ANSWER
from bedrock_server import BedrockServer
from bedrock_server_credentials import BEDROCK_KEY
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session
from plain_http import HTTP

SONNET, NOVA = "us.anthropic.claude-sonnet-4-5-20250929-v1:0", "us.amazon.nova-lite-v1:0"
LLAMA, MIXTRAL = "us.meta.llama3-3-70b-instruct-v1:0", "mistral.mixtral-8x7b-instruct-v0:1"
HELLO = [{"role": "user", "content": [{"text": "Hello"}]}]
TOOL = {"toolSpec": {"name": "get_weather", "inputSchema": {"json": {"type": "object"}}}}
USED = {"toolUse": {"toolUseId": "call_1", "name": "get_weather", "input": {}}}
RESULT = {"toolResult": {"toolUseId": "call_1", "content": [{"text": "18"}]}}
THOUGHT = {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "forged"}}}
POINT = {"cachePoint": {"type": "default"}}
PNG = {"image": {"format": "png", "source": {"bytes": b"\x89PNG\r\n\x1a\n0000"}}}
Json = dict[str, Any]


@pytest.fixture(scope="module")
def server() -> Iterator[BedrockServer]:
    server = BedrockServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def runtime(server: BedrockServer) -> Any:
    """botocore's own client."""
    session = Session()
    identity = server.identities["AKIAIOSFODNN7EXAMPLE"]
    return session.create_client(
        "bedrock-runtime",
        "us-east-1",
        endpoint_url=server.url,
        aws_access_key_id=identity.access_key,
        aws_secret_access_key=identity.secret_key,
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
    )


def ask(server: BedrockServer, body: Json, model: str = SONNET) -> httpx.Response:
    """By API key, and past botocore's own checks."""
    return HTTP.post(
        f"{server.url}/model/{model.replace(':', '%3A')}/converse",
        json=body,
        headers={"authorization": f"Bearer {BEDROCK_KEY}", "accept": "application/json"},
    )


def test_botocores_own_client_gets_answers_and_frames(server: BedrockServer, runtime: Any) -> None:
    for model in (SONNET, NOVA, LLAMA, f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{NOVA}"):
        whole = runtime.converse(modelId=model, messages=HELLO)
        assert whole["output"]["message"]["content"] == [{"text": ANSWER}]
        assert whole["stopReason"] == "end_turn" and whole["usage"]["outputTokens"] == 6
    events = list(runtime.converse_stream(modelId=SONNET, messages=HELLO)["stream"])
    kinds = [next(iter(event)) for event in events]
    assert kinds[0] == "messageStart" and kinds[-2:] == ["messageStop", "metadata"]
    pieces = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    assert "".join(piece["text"] for piece in pieces) == ANSWER


@pytest.mark.parametrize("wrong", ["access", "secret"])
def test_whom_it_does_not_know_it_refuses(server: BedrockServer, wrong: str) -> None:
    identity = server.identities["AKIAIOSFODNN7EXAMPLE"]
    client = Session().create_client(
        "bedrock-runtime",
        "us-east-1",
        endpoint_url=server.url,
        aws_access_key_id="AKIAUNKNOWN" if wrong == "access" else identity.access_key,
        aws_secret_access_key="wrong" if wrong == "secret" else identity.secret_key,
        config=Config(retries={"total_max_attempts": 1}),
    )
    with pytest.raises(ClientError) as failed:
        client.converse(modelId=NOVA, messages=HELLO)
    code = {"access": "UnrecognizedClientException", "secret": "InvalidSignatureException"}[wrong]
    assert failed.value.response["Error"]["Code"] == code


def turns(*contents: list[Json]) -> list[Json]:
    return [{"role": ("user", "assistant")[n % 2], "content": content} for n, content in enumerate(contents)]


HI: list[Json] = [{"text": "Hi"}]
REFUSED: dict[str, tuple[str, Json]] = {
    "an unknown member": (SONNET, {"messages": HELLO, "seed": 1}),
    "an unknown member within": (SONNET, {"messages": [{**HELLO[0], "name": "x"}]}),
    "an empty text": (SONNET, {"messages": turns([{"text": ""}])}),
    "a blank text": (SONNET, {"messages": turns([{"text": " \n"}])}),
    "no content": (SONNET, {"messages": turns([])}),
    "the assistant first": (SONNET, {"messages": [{"role": "assistant", "content": HI}, *HELLO]}),
    "no alternation": (SONNET, {"messages": HELLO * 2}),
    "results without tools": (SONNET, {"messages": turns(HI, [USED], [RESULT])}),
    "a call without its result": (
        SONNET,
        {"messages": turns(HI, [USED], HI), "toolConfig": {"tools": [TOOL]}},
    ),
    "a result without its call": (
        SONNET,
        {"messages": turns(HI, HI, [RESULT]), "toolConfig": {"tools": [TOOL]}},
    ),
    "a forged thought": (SONNET, {"messages": turns(HI, [THOUGHT, *HI], HI)}),
    "another family's thought": (NOVA, {"messages": turns(HI, [THOUGHT, *HI], HI)}),
    "five cache points": (SONNET, {"messages": turns([*HI, POINT] * 5)}),
    "a cache point for who has none": (LLAMA, {"messages": turns([*HI, POINT])}),
    "an hour for who has none": (
        NOVA,
        {"messages": turns([*HI, {"cachePoint": {"type": "default", "ttl": "1h"}}])},
    ),
    "too high a cap": (SONNET, {"messages": HELLO, "inferenceConfig": {"maxTokens": 64_001}}),
    "no cap at all": (SONNET, {"messages": HELLO, "inferenceConfig": {"maxTokens": 0}}),
    "a temperature above 1": (NOVA, {"messages": HELLO, "inferenceConfig": {"temperature": 1.1}}),
    "top_k for who has none": (LLAMA, {"messages": HELLO, "additionalModelRequestFields": {"top_k": 4}}),
    "top_k in another's words": (NOVA, {"messages": HELLO, "additionalModelRequestFields": {"top_k": 4}}),
    "a choice of tools for who has none": (
        LLAMA,
        {"messages": HELLO, "toolConfig": {"tools": [TOOL], "toolChoice": {"any": {}}}},
    ),
    "a choice of none": (
        SONNET,
        {"messages": HELLO, "toolConfig": {"tools": [TOOL], "toolChoice": {"none": {}}}},
    ),
    "instructions for who takes none": (MIXTRAL, {"messages": HELLO, "system": HI}),
    "tools for who calls none": (MIXTRAL, {"messages": HELLO, "toolConfig": {"tools": [TOOL]}}),
    "a document's odd name": (
        SONNET,
        {
            "messages": turns(
                [
                    *HI,
                    {"document": {"format": "pdf", "name": "a_b.pdf", "source": {"bytes": "JVBERi0="}}},
                ]
            )
        },
    ),
    "an image that is none": (
        SONNET,
        {"messages": turns([*HI, {"image": {"format": "png", "source": {"bytes": "R0lGODdh"}}}])},
    ),
    "an unknown image format": (
        SONNET,
        {"messages": turns([*HI, {"image": {"format": "bmp", "source": {"bytes": "R0lGODdh"}}}])},
    ),
    "an image for who sees nothing": (
        LLAMA,
        {"messages": turns([*HI, {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgo="}}}])},
    ),
    "a schema for who has none": (
        LLAMA,
        {
            "messages": HELLO,
            "outputConfig": {
                "textFormat": {
                    "type": "json_schema",
                    "structure": {"jsonSchema": {"schema": "{}", "name": "a"}},
                }
            },
        },
    ),
    "a budget above the cap": (
        SONNET,
        {
            "messages": HELLO,
            "inferenceConfig": {"maxTokens": 2_000},
            "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 2_000}},
        },
    ),
    "an unknown model": ("us.anthropic.claude-sonnet-9", {"messages": HELLO}),
    "a model without its profile": (SONNET.removeprefix("us."), {"messages": HELLO}),
    "another region's profile": (SONNET.replace("us.", "eu."), {"messages": HELLO}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_breaks_a_rule_is_refused(server: BedrockServer, what: str) -> None:
    model, body = REFUSED[what]
    answer = ask(server, body, model)
    assert answer.status_code == 400, what
    assert answer.headers["x-amzn-errortype"].startswith("ValidationException")


ANSWERED: dict[str, Callable[[Json], Json]] = {
    "as it was": lambda said: said,
    "text changed": lambda said: json.loads(json.dumps(said).replace("weather", "whether")),
    "moved": lambda said: {**said, "content": [*said["content"][1:], said["content"][0]]},
    "left out": lambda said: {**said, "content": said["content"][1:]},
}


@pytest.mark.parametrize("edit", ANSWERED)
def test_a_thought_comes_back_as_it_was_or_is_refused(server: BedrockServer, edit: str) -> None:
    asked: Json = {
        "messages": turns([{"text": "do:think-tool"}]),
        "toolConfig": {"tools": [TOOL]},
        "inferenceConfig": {"maxTokens": 4_000},
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 2_000}},
    }
    said = ask(server, asked).json()["output"]["message"]
    assert "reasoningText" in said["content"][0]["reasoningContent"]
    call = next(block["toolUse"] for block in said["content"] if "toolUse" in block)
    result = {"toolResult": {"toolUseId": call["toolUseId"], "content": HI}}
    edited = ANSWERED[edit](said)
    again = {**asked, "messages": [*asked["messages"], edited, {"role": "user", "content": [result]}]}
    assert ask(server, again).status_code == (200 if edit == "as it was" else 400)
