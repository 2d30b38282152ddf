import pytest

from quantized.providers.demo import demo_provider
from quantized.providers.demo_upstream import DemoUpstream
from quantized.providers.openai_chat.provider import OpenAIChatProvider
from quantized.providers.openrouter import openrouter
from quantized.providers.registry import Registered, Registry


class StoppedClock:
    def now_ms(self) -> int:
        return 0

    def monotonic(self) -> float:
        return 0.0


UPSTREAM = DemoUpstream(StoppedClock())
DEMO = Registered(demo_provider(), UPSTREAM, by_model=True)
ROUTER = Registered(openrouter("key"), UPSTREAM)
LOCAL = Registered(OpenAIChatProvider("local", "http://localhost:1/v1"), UPSTREAM)


def test_the_default_comes_first_and_is_never_shadowed():
    registry = Registry([DEMO, LOCAL, ROUTER], "openrouter")
    assert registry.unforced == (ROUTER, DEMO)
    assert registry.names == ("demo", "local", "openrouter")
    assert registry.get("local") is LOCAL
    assert registry.get("Local") is None


def test_without_the_default_only_models_reached_by_name_are_left():
    assert Registry([DEMO, LOCAL], "openrouter").unforced == (DEMO,)
    assert Registry([DEMO, LOCAL], "local").unforced == (LOCAL, DEMO)
    assert Registry([DEMO], "demo").unforced == (DEMO,)


def test_two_of_one_name_are_a_mistake():
    with pytest.raises(ValueError, match="'demo'"):
        Registry([DEMO, DEMO], "demo")
