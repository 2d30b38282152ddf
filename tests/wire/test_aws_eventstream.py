from struct import pack
from uuid import UUID
from zlib import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from eventstream_encoder import event, frame, framed, header, typed
from hypothesis import given
from hypothesis import strategies as st

from quantized.wire.aws_eventstream import DamagedEventStream, EventMessage, EventStreamDecoder

DELTA = event("contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"text":"Hello"}}')
STOP = event("messageStop", b'{"stopReason":"end_turn"}')


def told(*pieces: bytes, limit: int = 1_000_000) -> tuple[list[EventMessage], str | None]:
    """The messages of `pieces`, and what is wrong with what follows them."""
    decoder = EventStreamDecoder(limit)
    messages: list[EventMessage] = []
    try:
        for piece in pieces:
            for message in decoder.feed(piece):
                messages.append(message)  # noqa: PERF402 - the iterator may raise after some
        decoder.close()
    except DamagedEventStream as damage:
        return messages, str(damage)
    return messages, None


def test_headers_and_payload():
    messages, damage = told(DELTA + STOP)
    assert damage is None
    assert messages == [
        (
            {
                ":event-type": "contentBlockDelta",
                ":content-type": "application/json",
                ":message-type": "event",
            },
            b'{"contentBlockIndex":0,"delta":{"text":"Hello"}}',
        ),
        (
            {":event-type": "messageStop", ":content-type": "application/json", ":message-type": "event"},
            b'{"stopReason":"end_turn"}',
        ),
    ]


def test_nothing_at_all_is_a_stream():
    assert told() == ([], None)
    assert told(b"", b"") == ([], None)
    assert told(framed(b"", b"")) == ([({}, b"")], None)


def test_every_type_of_header():
    id_ = UUID("00112233-4455-6677-8899-aabbccddeeff")
    block = b"".join(
        (
            typed("true", 0, b""),
            typed("false", 1, b""),
            typed("byte", 2, b"\xff"),
            typed("short", 3, pack(">h", -300)),
            typed("integer", 4, pack(">i", -70_000)),
            typed("long", 5, pack(">q", -(2**40))),
            typed("bytes", 6, b"\x00\x02\x00\xff"),
            typed("text", 7, b"\x00\x03\xe2\x82\xac"),
            typed("time", 8, pack(">q", 1_700_000_000_123)),
            typed("uuid", 9, id_.bytes),
        )
    )
    [(headers, payload)], damage = told(framed(block, b"x"))
    assert (payload, damage) == (b"x", None)
    assert headers == {
        "true": True,
        "false": False,
        "byte": -1,
        "short": -300,
        "integer": -70_000,
        "long": -(2**40),
        "bytes": b"\x00\xff",
        "text": "€",
        "time": 1_700_000_000_123,
        "uuid": id_,
    }
    assert [type(headers[name]) for name in ("true", "byte")] == [bool, int]


def test_nobody_can_change_the_headers_that_another_stream_gets():
    [(headers, _)], _ = told(DELTA)
    with pytest.raises(TypeError):
        headers[":event-type"] = "messageStop"  # type: ignore[index]


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (b"\x05ab", "no end"),
        (b"\x01a", "no end"),
        (b"\x01a\x04\x00", "no end"),
        (b"\x01a\x07\x00", "no end"),
        (b"\x01a\x07\x00\x05abcd", "no end"),
        (b"\x01a\x06\xff\xffabcd", "no end"),
        (b"\x01a\x09" + b"x" * 15, "no end"),
        (b"\x01a\x0a", "unknown type 10"),
        (b"\x01a\x00\x01a\x01", "twice"),
        (b"\x01\xff\x00", "UTF-8"),
        (b"\x01a\x07\x00\x01\xff", "UTF-8"),
        (header("x", "y" * 600) + b"\x01", "no end"),
    ],
)
def test_headers_that_are_none(block, words):
    messages, damage = told(DELTA + framed(block, b"{}") + STOP)
    assert len(messages) == 1
    assert words in damage


@pytest.mark.parametrize(
    ("size", "headers_size", "words"),
    [
        (0, 0, "0 bytes with 0"),
        (15, 0, "15 bytes with 0"),
        (40, 25, "40 bytes with 25"),
        (1_000_001, 0, "more than 1000000"),
        (0xFFFFFFFF, 0, "more than 1000000"),
        (900_000, 128 * 1024 + 1, "more than 131072"),
        (16, 0xFFFFFFFF, "more than 131072"),
    ],
)
def test_sizes_that_make_no_sense_are_refused_before_anything_else_has_come(size, headers_size, words):
    prelude = pack(">II", size, headers_size)
    messages, damage = told(DELTA + prelude + pack(">I", crc32(prelude)))
    assert len(messages) == 1
    assert words in damage


def test_the_largest_message_and_the_largest_headers():
    block = b"".join(header(f"{n:05}", "y" * 65_000) for n in range(2))
    whole = framed(block, b"x" * 1000)
    assert told(whole, limit=len(whole))[1] is None
    assert "more than" in told(whole, limit=len(whole) - 1)[1]


def test_damage_is_for_good():
    decoder = EventStreamDecoder()
    broken = bytearray(DELTA)
    broken[-1] ^= 1
    messages = decoder.feed(STOP + broken + STOP)
    assert next(messages)[1] == b'{"stopReason":"end_turn"}'
    with pytest.raises(DamagedEventStream, match="CRC of a message"):
        next(messages)
    for _ in range(2):
        with pytest.raises(DamagedEventStream, match="CRC of a message"):
            next(decoder.feed(STOP))
        with pytest.raises(DamagedEventStream, match="CRC of a message"):
            decoder.close()


def test_an_end_within_a_message_is_for_good_as_well():
    decoder = EventStreamDecoder()
    assert list(decoder.feed(DELTA[:-1])) == []
    with pytest.raises(DamagedEventStream, match="ends"):
        decoder.close()
    with pytest.raises(DamagedEventStream, match="ends"):
        next(decoder.feed(DELTA[-1:]))


def test_messages_are_taken_in_whether_or_not_anybody_reads_them():
    decoder = EventStreamDecoder()
    decoder.feed(DELTA[:20])
    assert [payload for _, payload in decoder.feed(DELTA[20:])] == [told(DELTA)[0][0][1]]


VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**31), 2**31 - 1),
    st.binary(max_size=20),
    st.text(max_size=10),
    st.uuids(),
)
MESSAGES = st.lists(
    st.tuples(st.dictionaries(st.text(max_size=8), VALUES, max_size=5), st.binary(max_size=60)), max_size=6
)
CUTS = st.lists(st.integers(1, 40), max_size=80)


def cut(whole: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(whole[:size])
        whole = whole[size:]
    return [*pieces, whole]


@given(MESSAGES, CUTS)
def test_any_chunking_gives_the_same_messages(messages, sizes):
    whole = b"".join(frame(*message) for message in messages)
    assert told(*cut(whole, sizes)) == (messages, None)


@given(MESSAGES, CUTS, st.data())
def test_a_flipped_bit_is_damage_and_nothing_after_it_is_believed(messages, sizes, data):
    frames = [frame(*message) for message in [*messages, ({"a": 1}, b"last")]]
    whole = bytearray(b"".join(frames))
    place = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[place // 8] ^= 1 << place % 8
    intact = 0
    while place // 8 >= len(b"".join(frames[: intact + 1])):
        intact += 1
    got, damage = told(*cut(bytes(whole), sizes))
    assert got == messages[:intact]
    assert damage is not None


def test_a_damaged_length_is_told_at_once_and_not_waited_for():
    for place in range(96):
        prelude = bytearray(DELTA[:12])
        prelude[place // 8] ^= 1 << place % 8
        with pytest.raises(DamagedEventStream, match="CRC of a prelude"):
            next(EventStreamDecoder().feed(bytes(prelude)))


def test_every_bit_of_a_real_message():
    whole = DELTA + STOP
    for place in range(len(whole) * 8):
        broken = bytearray(whole)
        broken[place // 8] ^= 1 << place % 8
        messages, damage = told(bytes(broken))
        assert len(messages) == (place // 8 >= len(DELTA))
        assert damage is not None


def test_cut_at_every_byte():
    whole = DELTA + STOP
    for end in range(len(whole) + 1):
        messages, damage = told(whole[:end])
        assert len(messages) == (end >= len(DELTA)) + (end == len(whole))
        assert (damage is None) == (end in (0, len(DELTA), len(whole)))


@given(st.binary(max_size=300), CUTS)
def test_noise_is_no_stream(noise, sizes):
    messages, damage = told(*cut(noise, sizes))
    assert (messages, damage is None) == ([], not noise)


@given(st.binary(max_size=80), CUTS)
def test_noise_in_place_of_headers_is_read_the_same_in_any_pieces(block, sizes):
    whole = STOP + framed(block, b"{}") + DELTA
    assert told(*cut(whole, sizes)) == told(whole)


@given(MESSAGES)
def test_botocore_reads_the_same(messages):
    whole = b"".join(frame(*message) for message in messages)
    theirs = EventStreamBuffer()
    theirs.add_data(whole)
    expected = [
        # They leave a UUID as it came.
        (
            {name: UUID(bytes=v) if isinstance(mine[name], UUID) else v for name, v in m.headers.items()},
            m.payload,
        )
        for m, (mine, _) in zip(theirs, messages, strict=True)
    ]
    assert told(whole) == (expected, None)


def test_a_large_message_in_small_pieces_takes_linear_time():
    """A second look at what is pending, for each piece, would take minutes."""
    whole = frame({}, bytes(8_000_000))
    pieces = [whole[at : at + 64] for at in range(0, len(whole), 64)]
    [(_, payload)], damage = told(*pieces, limit=10_000_000)
    assert (len(payload), damage) == (8_000_000, None)
