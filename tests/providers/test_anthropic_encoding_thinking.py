import json

import pytest
from anthropic_requests import (
    HAIKU_3,
    HELLO,
    OPUS_5,
    OPUS_48,
    OPUS_55,
    SONNET,
    SONNET_55,
    assistant,
    called,
    encode,
    refusal,
    result,
    user,
)
from msgspec.structs import replace

from quantized.core.errors import InsufficientCredits
from quantized.core.parts import Reasoning, Seal
from quantized.core.request import GenerationRequest, ReasoningWish, Sampling, Tool, ToolChoice
from quantized.providers.anthropic.provider import AnthropicProvider
from quantized.providers.provider import Target

OPUS_46 = "claude-opus-4-6"
HAIKU_55 = "claude-haiku-5-5"
NOTHING = {"reasoning": None, "tools": None, "tool_choice": None}


def wishing(**wish) -> GenerationRequest:
    return replace(HELLO, reasoning=ReasoningWish(**wish))


def thinking(model: str, cap: int | None = 4_000, **wish) -> tuple[object, object]:
    body = encode(wishing(**wish), model, cap)
    return body.get("thinking"), body.get("output_config")


@pytest.mark.parametrize(
    ("effort", "budget"),
    [
        ("minimal", 1_024),
        ("low", 2_000),
        ("medium", 5_000),
        ("high", 8_000),
        ("xhigh", 9_000),
        ("max", 9_500),
    ],
)
def test_an_effort_is_a_share_of_the_cap(effort, budget):
    assert thinking(SONNET, 10_000, effort=effort) == ({"type": "enabled", "budget_tokens": budget}, None)


def test_a_budget_is_sent_as_it_is():
    assert thinking(SONNET, max_tokens=1_024)[0] == {"type": "enabled", "budget_tokens": 1_024}
    assert thinking(OPUS_46, max_tokens=3_999)[0] == {"type": "enabled", "budget_tokens": 3_999}
    assert thinking(SONNET, enabled=True)[0] == {"type": "enabled", "budget_tokens": 2_000}


@pytest.mark.parametrize("cap", range(1_025, 1_300, 25))
@pytest.mark.parametrize("effort", ["minimal", "low", "high", "max"])
def test_a_budget_always_leaves_room_for_an_answer(cap, effort):
    config, _ = thinking(SONNET, cap, effort=effort)
    assert 1_024 <= config["budget_tokens"] < cap


def test_caps_too_small_to_think_in():
    small = replace(wishing(effort="low"), max_output_tokens=1_024)
    assert refusal(small, cap=1_024).param == "reasoning.effort"
    equal = replace(wishing(max_tokens=2_000), max_output_tokens=2_000)
    assert refusal(equal, cap=2_000).param == "reasoning.max_tokens"
    assert refusal(wishing(max_tokens=1_023)).param == "reasoning.max_tokens"
    assert refusal(wishing(max_tokens=64_000), cap=64_000).param == "reasoning.max_tokens"


def test_a_cap_that_the_balance_lowered():
    wish = replace(wishing(max_tokens=8_000), max_output_tokens=10_000)
    assert encode(wish, cap=2_000)["thinking"] == {"type": "enabled", "budget_tokens": 1_600}
    assert encode(wish, cap=9_000)["thinking"] == {"type": "enabled", "budget_tokens": 8_000}
    with pytest.raises(InsufficientCredits):
        encode(wish, cap=1_024)


@pytest.mark.parametrize("model", [OPUS_46, OPUS_48, OPUS_5, OPUS_55, SONNET_55])
def test_adaptive_models_are_told_an_effort(model):
    config, output = thinking(model, 100, effort="high")
    assert config["type"] == "adaptive"
    assert output == {"effort": "high"}
    assert thinking(model, effort="minimal")[1] == {"effort": "low"}
    assert thinking(model, enabled=True)[1] is None


@pytest.mark.parametrize("model", [OPUS_48, OPUS_5, OPUS_55, SONNET_55])
def test_adaptive_models_never_get_a_budget(model):
    assert refusal(wishing(max_tokens=2_000), model).param == "reasoning.max_tokens"


def test_thoughts_are_asked_for_where_they_would_not_be_shown():
    summarized = {"type": "adaptive", "display": "summarized"}
    assert thinking(OPUS_55, effort="low")[0] == summarized
    assert thinking(OPUS_55, summary="auto")[0] == summarized
    assert thinking(OPUS_55, effort="low", exclude=True)[0] == {"type": "adaptive"}
    assert thinking(OPUS_46, effort="low")[0] == {"type": "adaptive"}
    assert refusal(wishing(summary="concise"), OPUS_55).param == "reasoning.summary"


def test_levels_that_a_model_has_not():
    assert thinking(OPUS_46, effort="max")[1] == {"effort": "max"}
    assert refusal(wishing(effort="xhigh"), OPUS_46).param == "reasoning.effort"


@pytest.mark.parametrize(
    ("model", "config"),
    [
        (HAIKU_3, None),
        (SONNET, None),
        (OPUS_46, None),
        (OPUS_48, None),
        (OPUS_5, {"type": "disabled"}),
        (SONNET_55, {"type": "between_tools"}),
    ],
)
def test_no_thinking(model, config):
    for wish in ({"effort": "none"}, {"enabled": False}):
        assert thinking(model, **wish) == (config, None)


def test_models_that_always_think():
    assert refusal(wishing(effort="none"), OPUS_55).param == "reasoning.effort"
    assert refusal(wishing(enabled=False), OPUS_55).param == "reasoning.enabled"


def test_models_that_never_think():
    assert refusal(wishing(effort="low"), HAIKU_3).param == "reasoning.effort"
    assert refusal(wishing(max_tokens=2_000), HAIKU_3).param == "reasoning.max_tokens"
    assert refusal(wishing(enabled=True), HAIKU_3).param == "reasoning.enabled"
    assert refusal(wishing(summary="auto"), HAIKU_3).param == "reasoning.summary"


@pytest.mark.parametrize("model", [HAIKU_3, SONNET, OPUS_48, OPUS_55])
def test_not_to_see_thoughts_asks_for_none(model):
    assert thinking(model, exclude=True) == (None, None)
    assert thinking(model) == (None, None)


def test_a_wish_that_contradicts_itself():
    assert refusal(wishing(effort="high", enabled=False)).param == "reasoning.enabled"
    assert refusal(wishing(effort="none", enabled=True)).param == "reasoning.enabled"


@pytest.mark.parametrize("model", [SONNET, OPUS_46, OPUS_48, OPUS_5])
@pytest.mark.parametrize("choice", [ToolChoice("required"), ToolChoice("function", "f")])
def test_a_demanded_call_beside_thinking(model, choice):
    fault = refusal(replace(wishing(effort="low"), tools=(Tool("f"),), tool_choice=choice), model)
    assert fault.param == "tool_choice"
    assert "'reasoning'" in fault.message


@pytest.mark.parametrize(
    ("sampling", "field"),
    [
        (Sampling(temperature=0.5), "temperature"),
        (Sampling(top_k=3), "top_k"),
        (Sampling(top_p=0.9), "top_p"),
    ],
)
def test_sampling_beside_thinking(sampling, field):
    fault = refusal(replace(wishing(effort="low"), sampling=sampling))
    assert fault.param == field
    assert "'reasoning'" in fault.message


def test_sampling_that_goes_with_thinking():
    near = replace(wishing(effort="low"), sampling=Sampling(temperature=1, top_p=0.95))
    assert encode(near)["top_p"] == 0.95


def test_a_message_to_be_continued_beside_thinking():
    continued = replace(wishing(effort="low"), messages=(user("a"), assistant("b")))
    fault = refusal(continued)
    assert fault.param == "messages"
    assert "'reasoning'" in fault.message


def test_a_loop_that_began_without_thinking_goes_on_without():
    loop = (user("q"), called("c"), result("c", "r"))
    assert "thinking" not in encode(replace(wishing(effort="low"), messages=loop))
    asked_again = (*loop, assistant("a"), user("more"))
    assert "thinking" in encode(replace(wishing(effort="low"), messages=asked_again))
    # Adaptive thinking begins wherever it likes.
    assert "thinking" in encode(replace(wishing(effort="low"), messages=loop), OPUS_48)


@pytest.mark.parametrize(
    ("model", "fields", "told"),
    [
        (HAIKU_55, {"reasoning": ReasoningWish("none")}, "disabled"),
        (HAIKU_55, {"tools": (Tool("f"),), "tool_choice": ToolChoice("required")}, "disabled"),
        (SONNET_55, {"reasoning": ReasoningWish(enabled=False)}, "between_tools"),
        (OPUS_5, {"reasoning": ReasoningWish("none")}, "disabled"),
    ],
)
def test_a_request_without_thinking_brings_no_thoughts(model, fields, told):
    """A model that binds its thoughts would refuse them behind another prompt, and can only be told to pass
    them over where it thinks."""
    payload = b'{"type":"reasoning.text","provider":"anthropic","index":0,"text":"x","signature":"y"}'
    thought = Reasoning("x", (Seal("anthropic", "reasoning_details", payload),))
    talk = replace(HELLO, messages=(user("a"), assistant(thought, "b"), user("c")), **fields)
    provider = AnthropicProvider()
    body = json.loads(provider.encode(talk, Target(model, 4_000)).body)
    assert body["thinking"] == {"type": told}
    assert [block["type"] for block in body["messages"][1]["content"]] == ["text"]
    thinking = json.loads(provider.encode(replace(talk, **NOTHING), Target(model, 4_000)).body)
    assert [block["type"] for block in thinking["messages"][1]["content"]] == ["thinking", "text"]


def test_an_effort_and_a_budget_are_not_both_kept():
    for model in (SONNET, OPUS_46, OPUS_48):
        assert refusal(wishing(effort="low", max_tokens=2_000), model).param == "reasoning.max_tokens"
