"""Odd conversations and every wish to think: Anthropic has nothing to refuse in what is sent to it.

What it cannot do is a 400 of the gateway's own, which names the provider and never reaches it.
"""

from typing import Any

import pytest
from anthropic_server import AnthropicServer
from anthropic_server_answers import ANSWER
from anthropic_server_models import MODELS
from openai import BadRequestError
from sdk_talk import ADAPTIVE, BUDGETED, WEATHER, Talk, result, user

CALL = ("call:1", "get_weather", '{"city": "Paris"}')
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": CALL[0], "type": "function", "function": {"name": CALL[1], "arguments": CALL[2]}}],
}
HI = {"role": "assistant", "content": "Hi"}
PICTURE = [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]

ODD: dict[str, list[Any]] = {
    "the assistant first": [HI, user("Go on")],
    "instructions alone": [{"role": "system", "content": "Greet."}],
    "blank instructions": [{"role": "system", "content": " "}, "a"],
    "an empty user": [user(""), user("b")],
    "a blank user": [user([{"type": "text", "text": " \n"}]), user("b")],
    "an empty assistant": ["a", {"role": "assistant", "content": ""}, user("b")],
    "two assistants": ["a", HI, HI, user("b")],
    "an empty result": ["a", CALLED, result(CALL, "")],
    "a picture as a result": ["a", CALLED, result(CALL, PICTURE)],
    "instructions before a result": ["a", CALLED, {"role": "system", "content": "Now."}, result(CALL)],
    "a user before a result": ["a", CALLED, user("Wait"), result(CALL)],
    "an id twice": ["a", CALLED, result(CALL), CALLED, result(CALL)],
}


@pytest.mark.parametrize("talk", ["chat", "responses-stream"], indirect=True)
@pytest.mark.parametrize("tools", [True, False])
def test_odd_conversations_are_answered(talk: Talk, messages_api: AnthropicServer, tools: bool) -> None:
    for name, turns in ODD.items():
        for model in (BUDGETED, ADAPTIVE):
            more = {"tools": [WEATHER]} if tools else {}
            assert talk.ask(*turns, model=model, **more).text == ANSWER, name
    assert messages_api.refused == []


@pytest.mark.parametrize("talk", ["chat", "responses-stream"], indirect=True)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_takes_what_it_is_sent(talk: Talk, messages_api: AnthropicServer, model: str) -> None:
    wishes: list[dict[str, Any]] = [
        {"reasoning": wish} for wish in _WISHES if talk.surface == "chat" or wish in _WISHES[:4]
    ]
    wishes += [{}, {"tool_choice": "required"}, {"tool_choice": "none"}, {"parallel_tool_calls": False}]
    wishes += [{"temperature": 0.5}, {"top_p": 0.5}, {"temperature": 0.5, "top_p": 0.5}, {"temperature": 1}]
    granted = 0
    for wish in wishes:
        try:
            heard = talk.ask("do:think", model=model, tools=[WEATHER], **wish)
        except BadRequestError as refused:
            assert "is not supported by the provider 'anthropic': " in refused.message, wish
        else:
            granted += 1
            assert heard.calls if wish.get("tool_choice") == "required" else heard.text == ANSWER
    # All but what reasoning and sampling ask of a model that has neither.
    assert granted >= 5
    assert messages_api.refused == []


_WISHES: list[dict[str, Any]] = [
    {"effort": "none"},
    {"effort": "low"},
    {"effort": "high"},
    {"exclude": False},
    {"effort": "minimal"},
    {"effort": "xhigh"},
    {"effort": "max"},
    {"max_tokens": 1_500},
    {"enabled": True},
    {"enabled": False},
    {"exclude": True},
    {"summary": "auto"},
]
