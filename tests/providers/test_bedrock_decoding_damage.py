"""What damage does to a Converse answer: it fails, and nothing wrong is told before."""

import pytest
from converse_answers import told
from hypothesis import given, settings
from hypothesis import strategies as st
from taped import STREAMS, frames_of, is_converse

from quantized.core.events import Event, Failed, PartFinished

tapes = pytest.mark.parametrize("name", [name for name in STREAMS if is_converse(name)])

BROAD = "bedrock_claude_thinking_tools"


def is_prefix(events: list[Event], of: list[Event]) -> bool:
    """What was told is the beginning of the truth: nothing wrong, and what was begun has ended."""
    said, true = (
        [event for event in all_of[:-1] if not isinstance(event, PartFinished)] for all_of in (events, of)
    )
    return said == true[: len(said)]


def test_every_bit_of_an_answer():
    tape = STREAMS[BROAD]
    true = told(tape)
    for place in range(len(tape) * 8):
        broken = bytearray(tape)
        broken[place // 8] ^= 1 << place % 8
        events = told(bytes(broken))
        assert isinstance(events[-1], Failed)
        assert is_prefix(events, true)


def test_every_byte_that_an_answer_can_end_at():
    tape = STREAMS[BROAD]
    true = told(tape)
    for end in range(len(tape)):
        events = told(tape[:end])
        assert is_prefix(events, true)
        assert isinstance(events[-1], Failed)


@tapes
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_flipped_bit_fails_any_answer(name, data):
    tape = bytearray(STREAMS[name])
    true = told(bytes(tape))
    for place in data.draw(st.sets(st.integers(0, len(tape) * 8 - 1), min_size=1, max_size=3)):
        tape[place // 8] ^= 1 << place % 8
    cut = data.draw(st.integers(0, len(tape)))
    events = told(bytes(tape[:cut]), bytes(tape[cut:]))
    assert isinstance(events[-1], Failed)
    assert is_prefix(events, true)


def test_frames_that_are_lost_are_not_missed_in_silence():
    """A CRC knows nothing of the frame before; what must not be missing is told by what comes after."""
    frames = frames_of(STREAMS["bedrock_claude_tools"])
    for lost in (
        0,
        frames.index(next(frame for frame in frames if b"contentBlockStart" in frame)),
        len(frames) - 2,
    ):
        assert isinstance(told(b"".join(frames[:lost] + frames[lost + 1 :]))[-1], Failed)
