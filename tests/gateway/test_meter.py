"""What an answer has brought so far, where its provider never says."""

import pytest
from msgspec.structs import replace

from quantized.catalog.model import Model, Offer, Tier, complete
from quantized.core.events import (
    ArgumentsDelta,
    AudioDelta,
    Event,
    LogprobsDelta,
    PartStarted,
    ReasoningDelta,
    RefusalDelta,
    Sealed,
    TextDelta,
)
from quantized.core.parts import CacheMark, Seal, Text, ToolResult
from quantized.core.ports import Override
from quantized.core.request import GenerationRequest, Message, Tool, WebSearch
from quantized.core.usage import Usage
from quantized.gateway.metering import Meter, measured, quote
from quantized.providers.openai_chat.provider import OpenAIChatProvider
from quantized.providers.openrouter import openrouter
from quantized.providers.provider import Capabilities

SEALED = Sealed(0, Seal("router", "reasoning_details", b"[]"))


def metered(*events: Event) -> Meter:
    meter = Meter()
    for event in events:
        meter.note(event)
    return meter


@pytest.mark.parametrize("kind", [TextDelta, ReasoningDelta, RefusalDelta, ArgumentsDelta])
def test_four_bytes_of_text_are_a_token(kind):
    assert metered(kind(0, "12345678")).tokens == 2
    assert metered(kind(0, "ééé")).tokens == 2
    assert metered(kind(0, "1"), kind(0, "2")).tokens == 1


def test_the_name_of_a_tool_is_output():
    assert metered(PartStarted(0, "tool_call", "call_1", "get_weather")).tokens == 3


def test_what_nobody_here_can_read_is_something_all_the_same():
    assert metered(SEALED).anything
    assert metered(SEALED).tokens == 0


def test_the_beginning_of_a_part_is_nothing_yet():
    assert not metered(PartStarted(0, "text"), LogprobsDelta()).anything
    assert metered(PartStarted(0, "audio"), AudioDelta(0, transcript="yes")).anything


ASKED = GenerationRequest("a/m", (Message("user", (Text("x" * 400),)),), max_output_tokens=50)
RATES = complete(Override(input=1, output=2, web_search=3_000_000))
ONCE = Capabilities("x")
OFFER = Offer(Model("a/m", "p", "m", "m", "a", RATES, context_window=9_000), RATES)


def test_what_was_reported_is_charged_and_the_rest_is_estimated():
    quoted, meter = quote(ASKED, OFFER, ONCE), metered(TextDelta(0, "1234" * 7))
    reported = Usage(input=0, output=0)
    assert measured(ASKED, quoted, meter, reported) == (reported, False)
    assert measured(ASKED, quoted, meter, None) == (Usage(input=104, output=7), True)
    counted = Usage(input=3, cached_read=100_000, cache_write_1h=2, web_searches=1)
    expected = Usage(input=3, cached_read=100_000, cache_write_1h=2, web_searches=1, output=7)
    assert measured(ASKED, quoted, meter, None, counted) == (expected, True)
    assert measured(ASKED, quoted, metered(TextDelta(0, "1234" * 99)), None, counted)[0].output == 50


def test_a_search_is_held_for_as_often_as_its_provider_may_search():
    searching = replace(ASKED, web_search=WebSearch())
    one, five = quote(searching, OFFER, ONCE), quote(searching, OFFER, Capabilities("x", False, 5))
    assert (one.searches, five.searches) == (1, 5)
    assert one.input_bound == five.input_bound == 9_000
    assert five.wanted - one.wanted == five.minimum - one.minimum == 4 * 3
    assert quote(ASKED, OFFER, Capabilities("x", False, 5)).searches == 0


def test_a_search_that_is_certain_is_charged_where_nobody_says_so():
    """Whether or not an answer came of it; one that a model may have made is not."""
    searching = replace(ASKED, web_search=WebSearch())
    certain = quote(searching, OFFER, Capabilities("x", searches_per_request=2, searches_certain=1))
    for meter in (Meter(), metered(TextDelta(0, "1234"))):
        usage, estimated = measured(searching, certain, meter, None)
        assert (usage.web_searches, estimated) == (1, True)
        assert measured(searching, quote(searching, OFFER, ONCE), meter, None)[0].web_searches == 0
        assert measured(searching, certain, meter, Usage(input=9)) == (Usage(input=9), False)
    unasked = quote(ASKED, OFFER, Capabilities("x", searches_certain=1))
    assert measured(ASKED, unasked, Meter(), None)[0].web_searches == 0


def test_only_a_plugin_searches_for_certain():
    assert openrouter("key").capabilities.searches_certain == 1
    assert OpenAIChatProvider("named", "http://server.test/v1").capabilities.searches_certain == 0


def test_a_model_that_reads_again_after_each_search_is_held_for_all_its_readings():
    again = Capabilities("x", searches_per_request=3, searches_read_again=True)
    plain, searching = (quote(one, OFFER, again) for one in (ASKED, replace(ASKED, web_search=WebSearch())))
    assert plain.input_bound < 1_000
    assert searching.input_bound == plain.input_bound + 3 * 9_000
    assert searching.wanted - plain.wanted == 3 * 3


HOUR = CacheMark("1h")
ASKS = {
    "nothing": ASKED,
    "five minutes": replace(ASKED, messages=(Message("user", (Text("x" * 400, CacheMark("5m")),)),)),
    "a text": replace(ASKED, messages=(Message("system", (Text("x" * 400, HOUR),)),)),
    "a tool": replace(ASKED, tools=(Tool("f", cache=HOUR),)),
    "a result": replace(
        ASKED, messages=(Message("tool", (ToolResult("c", (Text("x" * 300), Text("y", HOUR))),)),)
    ),
}


@pytest.mark.parametrize("asks", ASKS)
def test_an_hour_in_the_cache_is_held_for_where_it_is_asked_for(asks):
    written = complete(Override(input=100_000, output=0, cache_write=125_000, cache_write_1h=200_000))
    long = complete(Override(input=200_000, output=0, cache_write=250_000, cache_write_1h=400_000))
    rates = replace(written, tiers=(Tier(100, long),))
    quoted = quote(ASKS[asks], Offer(OFFER.model, rates), ONCE)
    per_token = 250_000 if asks in {"nothing", "five minutes"} else 400_000
    assert quoted.input_bound > 100
    assert quoted.wanted == quoted.minimum == -(-per_token * quoted.input_bound // 1_000_000)
