from hypothesis import given
from hypothesis import strategies as st

from quantized.wire.sse import Frame, SseSplitter


def split(*pieces: bytes, limit: int = 1_000_000) -> list[Frame]:
    splitter = SseSplitter(limit)
    return [frame for piece in pieces for frame in splitter.feed(piece)]


def test_the_usual_frames():
    assert split(b'data: {"a":1}\n\ndata: [DONE]\n\n') == [(None, b'{"a":1}'), (None, b"[DONE]")]


def test_a_name_comments_and_unknown_fields():
    frame = b": hello\nid: 7\nretry: 10\nevent: error\nnothing\ndata: x\n\n"
    assert split(b": only a comment\n\n" + frame) == [(b"error", b"x")]


def test_one_space_after_the_colon_belongs_to_the_format():
    assert split(b"data:x\n\ndata: x\n\ndata:  x\n\n") == [(None, b"x"), (None, b"x"), (None, b" x")]


def test_several_data_lines_are_one_frame():
    assert split(b"data: a\ndata\ndata: b\n\n") == [(None, b"a\n\nb")]


def test_a_frame_without_data_is_none():
    assert split(b"event: ping\n\ndata:\n\ndata: x\n\n") == [(None, b"x")]


def test_every_line_ending_also_cut_in_the_middle():
    for ending in (b"\n", b"\r\n", b"\r"):
        text = b"data: a" + ending + b"data: b" + ending * 2 + b"data: c" + ending * 3
        assert split(text) == [(None, b"a\nb"), (None, b"c")]
        assert split(*[text[i : i + 1] for i in range(len(text))]) == [(None, b"a\nb"), (None, b"c")]


def test_a_byte_order_mark_at_the_start_only():
    assert split(b"\xef\xbb", b"\xbfdata: x\n\n") == [(None, b"x")]
    assert split(b"data: x\n\n\xef\xbb\xbfdata: y\n\n") == [(None, b"x")]


def test_what_has_no_end_is_no_frame_and_is_reported():
    splitter = SseSplitter()
    assert splitter.feed(b"data: x\n\ndata: y\n") == [(None, b"x")]
    assert splitter.close() == b"data: y"
    whole = SseSplitter()
    whole.feed(b"data: x\n\n\n")
    assert whole.close() == b""


def test_a_frame_has_a_largest_size():
    for pieces in (
        [b"data: " + b"x" * 200 + b"\n\ndata: y\n\n"],
        [b"data: ", *[b"x"] * 200, b"\n\ndata: y\n\n"],
    ):
        splitter = SseSplitter(limit=100)
        frames = [f for piece in (b"data: a\n\n", *pieces) for f in splitter.feed(piece)]
        assert frames == [(None, b"a")]
        assert splitter.overflowed
    assert len(split(b"data: " + b"x" * 80 + b"\n\n", limit=100)) == 1


LINES = st.sampled_from(
    [b"data: a", b"data:", b"data", b"data: \xc3\xa9", b"event: e", b": c", b"", b"", b"x", b"\xef\xbb\xbf"]
)
ENDINGS = st.sampled_from([b"\n", b"\r", b"\r\n"])


@given(st.lists(st.tuples(LINES, ENDINGS), max_size=20), st.lists(st.integers(1, 6), max_size=60))
def test_any_chunking_gives_the_same_frames(lines, sizes):
    text = b"".join(line + ending for line, ending in lines)
    pieces, rest = [], text
    for size in sizes:
        pieces.append(rest[:size])
        rest = rest[size:]
    assert split(*pieces, rest) == split(text)


@given(st.lists(st.tuples(LINES, ENDINGS), max_size=20))
def test_frames_are_what_the_standard_says(lines):
    """Read line by line, as the standard tells it."""
    expected: list[Frame] = []
    event: bytes | None = None
    data: list[bytes] = []
    text = b"".join(line + ending for line, ending in lines)
    text = text.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for line in text.split(b"\n")[:-1]:
        if not line:
            if b"\n".join(data):
                expected.append((event, b"\n".join(data)))
            event, data = None, []
            continue
        name, _, value = line.partition(b":")
        value = value[1:] if value.startswith(b" ") else value
        if name == b"data":
            data.append(value)
        if name == b"event":
            event = value or None
    assert split(text) == expected
    assert split(b"".join(line + ending for line, ending in lines)) == expected
