"""The names of models, and answers that must not call."""

import pytest
from converse_requests import MODELS

from quantized.core.errors import ProviderUnavailable
from quantized.core.events import ArgumentsDelta, Event, Failed, Finished, PartFinished, PartStarted, Started
from quantized.core.usage import Usage
from quantized.providers.bedrock.families import base_id, family_of
from quantized.providers.bedrock.models import native_id, nearest, public_name, served
from quantized.providers.bedrock.uncalled import Uncalled, uncalled


@pytest.mark.parametrize(
    ("name", "region", "meant"),
    [
        ("anthropic/claude-sonnet-4.5", "us-east-1", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("anthropic/claude-sonnet-4-5", "eu-west-3", "eu.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("anthropic/claude-sonnet-4.5", "ap-northeast-1", "jp.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("anthropic/claude-sonnet-4.5", "ap-southeast-2", "au.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("anthropic/claude-sonnet-4.5", "sa-east-1", "global.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("anthropic/claude-sonnet-4.5", "us-gov-west-1", "us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("anthropic/claude-sonnet-4.6", "us-gov-west-1", "anthropic.claude-sonnet-4-6"),
        ("anthropic/claude-sonnet-4.6", "us-iso-east-1", "anthropic.claude-sonnet-4-6"),
        ("anthropic/claude-3.5-sonnet", "us-west-2", "us.anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("anthropic/claude-3-5-sonnet-20240620", "eu-west-1", "eu.anthropic.claude-3-5-sonnet-20240620-v1:0"),
        ("anthropic/claude-opus-4.6", "eu-west-1", "eu.anthropic.claude-opus-4-6-v1"),
        ("amazon/nova-lite", "ca-central-1", "ca.amazon.nova-lite-v1:0"),
        ("amazon/nova-lite-v1", "eu-central-2", "eu.amazon.nova-lite-v1:0"),
        ("amazon/nova-lite", "sa-east-1", "amazon.nova-lite-v1:0"),
        ("meta/llama3-3-70b-instruct", "us-east-2", "us.meta.llama3-3-70b-instruct-v1:0"),
        ("meta-llama/llama-3.3-70b-instruct", "us-east-2", "us.meta.llama3-3-70b-instruct-v1:0"),
        ("mistralai/mistral-large-2402", "us-east-1", "mistral.mistral-large-2402-v1:0"),
        ("openai/gpt-oss-120b", "us-east-1", "openai.gpt-oss-120b-1:0"),
        ("z-ai/glm-5.3", "eu-west-1", "global.zai.glm-5.3"),
        ("moonshotai/kimi-k2-thinking", "us-east-1", "moonshot.kimi-k2-thinking"),
        ("openai/gpt-4.1", "us-east-1", None),
        ("claude-sonnet-4-5", "us-east-1", None),
        ("nobody/model", "us-east-1", None),
    ],
)
def test_what_a_public_name_means(name, region, meant):
    assert native_id(name, region) == meant


@pytest.mark.parametrize("model", MODELS)
def test_native_ids_mean_themselves(model):
    assert native_id(model, "eu-west-1") == model


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-1", "ap-south-1", "sa-east-1", "us-gov-east-1"])
def test_every_public_name_finds_back_to_its_model(region):
    found = served()
    assert len({model.public for model in found}) == len(found)
    for model in found:
        meant = native_id(model.public, region)
        assert meant == nearest(model.id, region)
        assert base_id(meant) == model.id
        assert public_name(meant) == model.public
        assert model.family.known
        assert model.family.max_output_tokens is not None
        assert model.family.context_window is not None


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-20240307-v1:0", "anthropic"),
        ("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-pro-v1:0", "nova"),
        ("arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc", "abc"),
        ("arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdefghijkl", "abcdefghijkl"),
        ("newcomer.model-1", "newcomer.model-1"),
        ("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", "anthropic"),
    ],
)
def test_families_by_any_kind_of_id(model, family):
    assert family_of(model).name == family


def test_what_was_a_preview_is_not_counted_on():
    """A cache of the second 3.5 Sonnet was only for the accounts of its preview."""
    assert family_of("us.anthropic.claude-3-5-sonnet-20241022-v2:0").caching == "none"
    assert family_of("us.anthropic.claude-3-5-haiku-20241022-v1:0").caching == "points"


@pytest.mark.parametrize("model", ["minimax.minimax-m2", "nvidia.nemotron-nano-9b-v2", "qwen.qwen3-32b-v1:0"])
def test_models_with_structured_output(model):
    assert family_of(model).schemas


def test_limits_are_those_of_the_generation():
    assert family_of("anthropic.claude-3-haiku-20240307-v1:0").max_output_tokens == 4_096
    assert family_of("us.anthropic.claude-opus-4-6-v1").max_output_tokens == 128_000
    assert family_of("anthropic.claude-v2:1").tools is False


USAGE = Usage(input=3, output=4)
CALLING: tuple[Event, ...] = (
    Started("1", "m", 1),
    PartStarted(0, "text"),
    PartFinished(0),
    PartStarted(1, "tool_call", "c", "f"),
    ArgumentsDelta(1, "{}"),
    PartFinished(1),
    Finished("tool_calls", USAGE),
)


class Recorded:
    """A decoder whose frames are events; at the end of its bytes it says `last`."""

    def __init__(self, *frames: tuple[Event, ...]) -> None:
        self.frames = frames

    def feed(self, data: bytes):
        return [(None, frame) for frame in self.frames] if data else []

    def close(self):
        return CALLING[3:]


def test_a_call_that_nobody_allowed_fails_the_answer_which_is_to_be_paid_and_not_asked_again():
    decoder = Uncalled(Recorded(CALLING[:2], CALLING[2:5], CALLING[5:]))
    events = [event for _, frame in decoder.feed(b"x") for event in frame]
    assert events[:-1] == list(CALLING[:3])
    (failed,) = events[3:]
    assert isinstance(failed, Failed)
    assert isinstance(failed.fault, ProviderUnavailable)
    assert not failed.fault.retryable
    assert failed.usage == USAGE


def test_a_call_at_the_very_end_too():
    (failed,) = Uncalled(Recorded()).close()
    assert isinstance(failed, Failed)
    assert failed.usage == USAGE


def test_a_call_that_is_cut_off_tells_what_was_counted_of_it():
    cut = Failed(ProviderUnavailable(cause="gone"), None, None, Usage(input=3))
    decoder = Uncalled(Recorded((*CALLING[:5], cut)))
    *_, (_, (*_, failed)) = decoder.feed(b"x")
    assert isinstance(failed, Failed)
    assert not failed.fault.retryable
    assert failed.counted_input == Usage(input=3)


def test_a_whole_answer_likewise():
    (failed,) = uncalled(CALLING)
    assert isinstance(failed, Failed)
    assert failed.usage == USAGE
    assert not failed.fault.retryable
    spoken = (*CALLING[:3], Finished("stop", USAGE))
    assert uncalled(spoken) == spoken
