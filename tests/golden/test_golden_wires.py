"""Every shape of a request, to what each provider gets of it. README.md says how to write that anew."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from golden_requests import BEFORE, SHAPES

from quantized.core.errors import Fault
from quantized.core.fold import fold
from quantized.core.turns import Found, Needs, Turn, fingerprint
from quantized.providers.demo import demo_provider
from quantized.providers.openai_chat.provider import OpenAIChatProvider
from quantized.providers.openrouter import openrouter
from quantized.providers.provider import Target
from quantized.surfaces.responses.render import Identity
from quantized.surfaces.responses.surface import ResponsesSurface

HERE = Path(__file__).parent
SURFACE = ResponsesSurface()
PROVIDERS = {
    "openrouter": openrouter("sk-upstream"),
    "generic": OpenAIChatProvider("generic", "http://generic.invalid/v1"),
    "demo": demo_provider(),
}
MINT = PROVIDERS["openrouter"]


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


def wire(provider: OpenAIChatProvider, request: dict[str, Any]) -> Any:
    """What the provider gets, or what the caller reads in its place."""
    try:
        asked = SURFACE.parse(json.dumps(request).encode())
        conversation = SURFACE.compose(asked, found(asked.needs))
        cap = conversation.request.max_output_tokens
        return json.loads(provider.encode(conversation.request, Target("native/model", cap)).body)
    except Fault as fault:
        error = SURFACE.render_error(fault)
        return {"refused": error.status, **json.loads(error.body)}


@pytest.mark.parametrize("name", SHAPES)
def test_each_provider_gets_what_it_got(name: str) -> None:
    request = {"model": "author/model", **SHAPES[name]}
    golden = {
        "request": request,
        "wires": {provider: wire(PROVIDERS[provider], request) for provider in PROVIDERS},
    }
    path = HERE / "responses" / f"{name}.json"
    if os.environ.get("REWRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(golden, indent=2, ensure_ascii=False) + "\n")
    assert json.loads(path.read_text()) == golden


def test_every_file_has_its_shape() -> None:
    assert {path.stem for path in (HERE / "responses").glob("*.json")} == set(SHAPES)
