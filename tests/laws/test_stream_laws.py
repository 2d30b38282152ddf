"""The laws of a stream, over every tape: however it is cut into pieces, and wherever it is cut off."""

from collections.abc import Iterator
from itertools import accumulate, zip_longest
from random import Random

import msgspec
import pytest
from stream_laws import assert_legal, comparable, comparable_frames, events_of, tell
from taped import (
    ALL_STREAMS,
    BODIES,
    BROKEN_BODIES,
    BROKEN_STREAMS,
    REQUEST,
    STREAMS,
    end_of,
    frames_of,
    provider_of,
)

from quantized.core.events import Event, Failed, Finished
from quantized.core.fold import fold
from quantized.core.parts import Reasoning
from quantized.core.request import Message
from quantized.providers.openrouter import openrouter
from quantized.providers.provider import Target

streams = pytest.mark.parametrize("name", STREAMS)
all_streams = pytest.mark.parametrize("name", ALL_STREAMS)


def test_there_are_tapes():
    assert len(STREAMS) > 20
    assert len(BROKEN_STREAMS) > 10
    assert set(STREAMS) == set(BODIES)


def chunkings(name: str, tape: bytes) -> Iterator[list[int]]:
    """Where to cut: at the ends of all lines or frames, or so many bytes before or behind each; and anywhere.
    By a seed, so that a failure comes again."""
    ends = ends_of(tape)
    for off in (-2, -1, 0, 1, 2):
        yield [at + off for at in ends if 0 <= at + off <= len(tape)]
        yield [at + off for at in ends[::2] if 0 <= at + off <= len(tape)]
    anywhere = Random(name)
    for _ in range(20):
        yield sorted(anywhere.randint(0, len(tape)) for _ in range(anywhere.randint(1, 12)))


@all_streams
def test_any_chunking_tells_the_same(name):
    tape = ALL_STREAMS[name]
    whole = comparable_frames(tell(name, [tape]))
    for cuts in chunkings(name, tape):
        pieces = [tape[a:b] for a, b in zip([0, *cuts], [*cuts, len(tape)], strict=True)]
        assert comparable_frames(tell(name, pieces)) == whole, cuts


@all_streams
def test_byte_by_byte_tells_the_same(name):
    tape = ALL_STREAMS[name]
    drip = tell(name, (tape[i : i + 1] for i in range(len(tape))))
    assert comparable_frames(drip) == comparable_frames(tell(name, [tape]))


@all_streams
def test_the_grammar_holds(name):
    assert_legal(events_of(tell(name, [ALL_STREAMS[name]])))


@streams
def test_a_whole_tape_ends_well(name):
    assert isinstance(events_of(tell(name, [STREAMS[name]]))[-1], Finished)


@pytest.mark.parametrize("name", BROKEN_STREAMS)
def test_a_broken_stream_fails(name):
    assert isinstance(events_of(tell(name, [BROKEN_STREAMS[name]]))[-1], Failed)


@pytest.mark.parametrize("name", BROKEN_BODIES)
def test_a_broken_body_fails(name):
    events = list(provider_of(name).decode_body(REQUEST, BROKEN_BODIES[name]))
    assert_legal(events)
    assert isinstance(events[-1], Failed)


def ends_of(tape: bytes) -> list[int]:
    """Where the lines of a tape end, or its frames."""
    if tape.startswith(b"\0"):
        return list(accumulate(map(len, frames_of(tape))))
    return [at for at, byte in enumerate(tape) if byte == 10]


def cuts(tape: bytes) -> list[int]:
    """Every place of a short tape; of a long one those around the ends of lines or frames and some within."""
    if len(tape) <= 2_000:
        return list(range(len(tape)))
    around = {at + off for at in ends_of(tape) for off in range(-3, 3)}
    return sorted(at for at in around | set(range(0, len(tape), 11)) if 0 <= at < len(tape))


@all_streams
def test_cut_anywhere_is_a_legal_prefix_then_a_failure(name):
    tape = ALL_STREAMS[name]
    mark = end_of(name, tape)
    uncut = events_of(tell(name, [tape]))
    before: list[Event] | None = None
    for end in cuts(tape):
        *said, last = events_of(tell(name, [tape[:end]]))
        if end < mark:
            assert isinstance(last, Failed)
        if said == before and isinstance(last, Failed):
            continue  # as a byte before: within a frame
        before = said
        assert_legal([*said, last])
        # Most stand where they stand in the whole stream, which is looked at first: it is the faster.
        strange = [
            event
            for event, same_place in zip_longest(said, uncut[: len(said)])
            if event != same_place and event not in uncut
        ]
        assert strange == [], "nothing is told that the whole stream would not tell"


@streams
def test_streamed_and_unstreamed_are_one_answer(name):
    streamed = fold(events_of(tell(name, [STREAMS[name]])))
    whole = fold(provider_of(name).decode_body(REQUEST, BODIES[name]))
    assert comparable(streamed) == comparable(whole)


@pytest.mark.parametrize("name", [name for name, body in BODIES.items() if b"reasoning_details" in body])
@pytest.mark.parametrize("streamed", [True, False])
def test_a_provider_gets_its_own_blocks_back(name, streamed):
    provider = openrouter("key")
    if streamed:
        decoder = provider.decoder(REQUEST)
        events = [event for _, told in decoder.feed(STREAMS[name]) for event in told]
    else:
        events = provider.decode_body(REQUEST, BODIES[name])
    thought = next(part for part in fold(events).parts if isinstance(part, Reasoning))
    stored = msgspec.json.decode(msgspec.json.encode(thought), type=Reasoning)

    call = provider.encode(
        msgspec.structs.replace(REQUEST, messages=(Message("assistant", (stored,)),)), Target("m", None)
    )

    blocks = msgspec.json.decode(BODIES[name])["choices"][0]["message"]["reasoning_details"]
    sent = msgspec.json.decode(call.body)["messages"][0]["reasoning_details"]
    assert sent == blocks
    if not streamed:
        original = BODIES[name].partition(b'"reasoning_details":[')[2].partition(b"}]")[0]
        assert original in call.body, "byte for byte"
