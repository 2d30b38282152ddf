"""Every shape of a request, to what each provider gets of it. README.md says how to write that anew."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from anthropic_server_types import check_types
from converse_oracle import check as check_converse
from golden_chat_requests import CHAT_SHAPES
from golden_requests import BEFORE, SHAPES

from quantized.core.errors import Fault
from quantized.core.fold import fold
from quantized.core.request import GenerationRequest
from quantized.core.turns import Found, Needs, Turn, fingerprint
from quantized.providers.anthropic.provider import AnthropicProvider
from quantized.providers.bedrock.provider import BedrockProvider
from quantized.providers.bedrock.signing import BearerToken
from quantized.providers.demo import demo_provider
from quantized.providers.openai_chat.provider import OpenAIChatProvider
from quantized.providers.openrouter import openrouter
from quantized.providers.provider import Provider, Target
from quantized.surfaces.chat.surface import ChatSurface
from quantized.surfaces.responses.render import Identity
from quantized.surfaces.responses.surface import ResponsesSurface

HERE = Path(__file__).parent
SURFACE = ResponsesSurface()
CHAT = ChatSurface()
MINT = openrouter("sk-upstream")
CONVERSE = BedrockProvider("us-east-1", BearerToken("key"))
PROVIDERS: dict[str, tuple[Provider, str]] = {
    "openrouter": (MINT, "native/model"),
    "generic": (OpenAIChatProvider("generic", "http://generic.invalid/v1"), "native/model"),
    "demo": (demo_provider(), "native/model"),
    "anthropic": (AnthropicProvider(), "claude-sonnet-4-5-20250929"),
    "bedrock": (CONVERSE, "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    "bedrock-nova": (CONVERSE, "us.amazon.nova-2-lite-v1:0"),
}
"""Each with the model that it is asked for."""
OF_CONVERSE = ("bedrock", "bedrock-nova")


def stored_turn() -> Turn:
    """What is stored of an answer with thoughts, words and a call, as `openrouter` gives it."""
    asked = SURFACE.parse(json.dumps(BEFORE["request"]).encode())
    conversation = SURFACE.compose(asked, Found())
    answer = fold(MINT.decode_body(conversation.request, json.dumps(BEFORE["answer"]).encode()))
    return SURFACE.turn(conversation, Identity("resp-before", 1_719_000_000), answer, 0)


def found(needs: Needs) -> Found:
    """As the store answers that holds this turn."""
    turn = stored_turn()
    items = {item.id: item for item in (*turn.input, *turn.output) if item.id in needs.items}
    return Found(
        history=turn.messages if needs.previous == turn.id else (),
        items={name: item.messages for name, item in items.items()},
        shown={name: item.json for name, item in items.items()},
        reasoning={
            call: turn.thoughts[: turn.calls[call.id].thoughts]
            for call in needs.calls
            if call.id in turn.calls and turn.calls[call.id].fingerprint == fingerprint(call)
        },
    )


def responses_request(body: dict[str, Any]) -> GenerationRequest:
    asked = SURFACE.parse(json.dumps(body).encode())
    return SURFACE.compose(asked, found(asked.needs)).request


def chat_request(body: dict[str, Any]) -> GenerationRequest:
    return CHAT.parse(json.dumps(body).encode())


SURFACES = {
    "responses": (SURFACE, responses_request, SHAPES),
    "chat": (CHAT, chat_request, CHAT_SHAPES),
}
CASES = [(surface, name) for surface, (_, _, shapes) in SURFACES.items() for name in shapes]


def wire(surface: str, name: str, body: dict[str, Any]) -> Any:
    """What the provider gets, or what the caller reads in its place."""
    speaks, request_of, _ = SURFACES[surface]
    provider, model = PROVIDERS[name]
    try:
        request = request_of(body)
        return json.loads(provider.encode(request, Target(model, request.max_output_tokens)).body)
    except Fault as fault:
        error = speaks.render_error(fault)
        return {"refused": error.status, **json.loads(error.body)}


@pytest.mark.parametrize(("surface", "name"), CASES)
def test_each_provider_gets_what_it_got(surface: str, name: str) -> None:
    request = {"model": "author/model", **SURFACES[surface][2][name]}
    golden = {
        "request": request,
        "wires": {provider: wire(surface, provider, request) for provider in PROVIDERS},
    }
    path = HERE / surface / f"{name}.json"
    if os.environ.get("REWRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(golden, indent=2, ensure_ascii=False) + "\n")
    assert json.loads(path.read_text()) == golden


@pytest.mark.parametrize(("surface", "name"), CASES)
def test_what_anthropic_gets_is_of_its_types(surface: str, name: str) -> None:
    golden = json.loads((HERE / surface / f"{name}.json").read_text())["wires"]["anthropic"]
    if "refused" not in golden:
        check_types(golden)


@pytest.mark.parametrize("provider", OF_CONVERSE)
@pytest.mark.parametrize(("surface", "name"), CASES)
def test_what_bedrock_gets_is_what_botocore_would_write(surface: str, name: str, provider: str) -> None:
    found = json.loads((HERE / surface / f"{name}.json").read_text())
    golden = found["wires"][provider]
    if "refused" not in golden:
        check_converse(golden, PROVIDERS[provider][1], stream=found["request"].get("stream", False))


@pytest.mark.parametrize("surface", SURFACES)
def test_every_file_has_its_shape(surface: str) -> None:
    assert {path.stem for path in (HERE / surface).glob("*.json")} == set(SURFACES[surface][2])
