"""What an answer has brought so far, where its provider never says."""

import pytest

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
from quantized.core.parts import Seal
from quantized.gateway.metering import Meter

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
