import pytest
from converse_requests import (
    CLAUDE,
    CLAUDE_3,
    CLAUDE_37,
    DEEPSEEK,
    GLM,
    GPT,
    GPT_OSS,
    HELLO,
    KIMI_2,
    KIMI_3,
    LLAMA,
    NOVA,
    NOVA_2,
    OPUS_48,
    PROFILE,
    R1,
    assistant,
    called,
    encode,
    refusal,
    result,
    user,
)
from msgspec.structs import replace

from quantized.core.errors import InsufficientCredits
from quantized.core.request import ReasoningWish, Sampling, Tool, ToolChoice
from quantized.providers.bedrock.encode import encode_body
from quantized.providers.bedrock.families import family_of
from quantized.providers.provider import Target

FIELDS = "additionalModelRequestFields"


def asked(model, cap=8_192, **wish):
    return encode(model=model, cap=cap, reasoning=ReasoningWish(**wish)).get(FIELDS)


def budget(tokens):
    return {"thinking": {"type": "enabled", "budget_tokens": tokens}}


NOVA_LOW = {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}
NOVA_MEDIUM = {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}}


@pytest.mark.parametrize(
    ("model", "wish", "told"),
    [
        (CLAUDE, {"effort": "medium"}, budget(4_096)),
        (CLAUDE_37, {"max_tokens": 2_000}, budget(2_000)),
        (CLAUDE, {"effort": "none"}, None),
        (OPUS_48, {"effort": "high"}, {"thinking": {"type": "adaptive", "display": "summarized"}}),
        (OPUS_48, {"enabled": True, "exclude": True}, {"thinking": {"type": "adaptive"}}),
        (NOVA_2, {"effort": "low"}, NOVA_LOW),
        (NOVA_2, {"effort": "minimal"}, NOVA_LOW),
        (NOVA_2, {"enabled": True}, NOVA_MEDIUM),
        (NOVA_2, {"effort": "none"}, {"reasoningConfig": {"type": "disabled"}}),
        (NOVA_2, {"exclude": True}, None),
        (GPT_OSS, {"effort": "high"}, {"reasoning_effort": "high"}),
        (GPT_OSS, {"enabled": True}, None),
        (GPT, {"effort": "xhigh"}, {"reasoning": {"effort": "xhigh"}}),
        (GPT, {"enabled": False}, {"reasoning": {"effort": "none"}}),
        (GPT, {"enabled": True}, None),
        (DEEPSEEK, {"effort": "high"}, {"reasoning_effort": "high"}),
        (DEEPSEEK, {"enabled": True}, {"reasoning_effort": "medium"}),
        (DEEPSEEK, {"effort": "none"}, None),
        (R1, {"enabled": True}, None),
        (KIMI_2, {"enabled": True}, {"thinking": {"type": "enabled"}}),
        (KIMI_2, {"effort": "none"}, {"thinking": {"type": "disabled"}}),
        (KIMI_3, {"effort": "max"}, {"reasoning": {"effort": "max"}}),
        (GLM, {"effort": "max"}, {"reasoning_effort": "max"}),
        (LLAMA, {"effort": "none"}, None),
        (NOVA, {"enabled": False}, None),
        (PROFILE, {"exclude": True}, None),
    ],
)
def test_each_family_is_asked_in_its_own_words(model, wish, told):
    assert asked(model, **wish) == told


@pytest.mark.parametrize(
    ("model", "wish", "param"),
    [
        (CLAUDE_3, {"effort": "low"}, "reasoning.effort"),
        (LLAMA, {"effort": "low"}, "reasoning.effort"),
        (NOVA, {"enabled": True}, "reasoning.enabled"),
        (PROFILE, {"max_tokens": 2_000}, "reasoning.max_tokens"),
        (NOVA_2, {"max_tokens": 2_000}, "reasoning.max_tokens"),
        (NOVA_2, {"effort": "max"}, "reasoning.effort"),
        (NOVA_2, {"effort": "low", "summary": "detailed"}, "reasoning.summary"),
        (GPT_OSS, {"effort": "none"}, "reasoning.effort"),
        (GPT_OSS, {"effort": "xhigh"}, "reasoning.effort"),
        (R1, {"effort": "low"}, "reasoning.effort"),
        (R1, {"enabled": False}, "reasoning.enabled"),
        (KIMI_2, {"effort": "high"}, "reasoning.effort"),
        (KIMI_3, {"effort": "medium"}, "reasoning.effort"),
        (KIMI_3, {"effort": "none"}, "reasoning.effort"),
        (GPT, {"effort": "none", "enabled": True}, "reasoning.enabled"),
    ],
)
def test_what_a_family_does_not_know(model, wish, param):
    assert refusal(model, reasoning=ReasoningWish(**wish)).param == param


def test_the_effort_of_adaptive_thinking_is_converses_own():
    body = encode(model=OPUS_48, reasoning=ReasoningWish(effort="xhigh"))
    assert body["outputConfig"] == {"effort": "xhigh"}


def test_thinking_goes_with_few_things():
    wish = ReasoningWish(effort="low")
    tools = {"tools": (Tool("f"),), "tool_choice": ToolChoice("required")}
    forced = refusal(CLAUDE, reasoning=wish, **tools)
    assert forced.param == "tool_choice"
    assert "'reasoning'" in forced.message
    for sampling, param in (
        (Sampling(temperature=0.5), "temperature"),
        (Sampling(top_p=0.5), "top_p"),
        (Sampling(top_k=5), "top_k"),
    ):
        assert refusal(CLAUDE, reasoning=wish, sampling=sampling).param == param
    assert refusal(CLAUDE, reasoning=wish, messages=(user("a"), assistant("b"))).param == "messages"


def test_a_budget_fits_below_the_cap():
    assert refusal(CLAUDE, max_output_tokens=1_024, reasoning=ReasoningWish(effort="low")).param == (
        "reasoning.effort"
    )
    assert refusal(CLAUDE, max_output_tokens=2_000, reasoning=ReasoningWish(max_tokens=2_000)).param == (
        "reasoning.max_tokens"
    )


def test_a_loop_that_began_without_thinking_goes_on_without():
    loop = (user("a"), called("c"), result("c", "1"))
    assert FIELDS not in encode(messages=loop, reasoning=ReasoningWish(effort="low"))
    assert FIELDS in encode(model=OPUS_48, messages=loop, reasoning=ReasoningWish(effort="low"))


class TestNovaAtItsHighest:
    WISH = ReasoningWish(effort="high")

    def test_takes_no_cap(self):
        body = encode(model=NOVA_2, cap=64_000, reasoning=self.WISH)
        assert "inferenceConfig" not in body
        assert body[FIELDS]["reasoningConfig"]["maxReasoningEffort"] == "high"

    def test_so_a_callers_own_is_refused(self):
        assert refusal(NOVA_2, reasoning=self.WISH, max_output_tokens=100).param == "reasoning.effort"

    def test_and_a_balance_that_pays_for_less_does_not_do(self):
        with pytest.raises(InsufficientCredits):
            encode_body(replace(HELLO, reasoning=self.WISH), Target(NOVA_2, 500), family_of(NOVA_2), "off")

    def test_nor_does_it_sample(self):
        for sampling, param in ((Sampling(temperature=0.5), "temperature"), (Sampling(top_k=5), "top_k")):
            assert refusal(NOVA_2, reasoning=self.WISH, sampling=sampling).param == param
