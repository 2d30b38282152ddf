"""The bytes of a response, in whatever pieces they come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantized.upstream.message import Message

LIMIT = 65536

ENDING_BY_THEMSELVES = {
    "length": (b"HTTP/1.1 200 OK\r\ncontent-length: 11\r\nx-empty:\r\n\r\nhello world", b"hello world"),
    "no body": (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b""),
    "chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
        b"5;name=value\r\nhello\r\n6\r\n world\r\n0\r\nx-trailer: 1\r\n\r\n",
        b"hello world",
    ),
    "interim first": (
        b"HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\nHTTP/1.1 100 \r\n\r\n"
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        b"ok",
    ),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "304": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n", b""),
}


def fed(*pieces: bytes, limit: int = LIMIT, any_coding: bool = False) -> Message:
    message = Message(limit, any_coding=any_coding)
    for piece in pieces:
        message.feed(piece)
        if message.over:
            break
    return message


@pytest.mark.parametrize("case", ENDING_BY_THEMSELVES)
def test_a_cut_at_every_byte_changes_nothing(case: str) -> None:
    data, body = ENDING_BY_THEMSELVES[case]
    whole = fed(data)
    for at in range(1, len(data)):
        message = fed(data[:at])
        assert not message.over, f"over after {at} bytes"
        message.feed(data[at:])
        assert message.complete
        assert message.take() == body
        assert (message.status, message.headers) == (whole.status, whole.headers)
        assert message.keep_alive == whole.keep_alive


@given(st.data())
def test_any_chunking_gives_the_same_response(data: st.DataObject) -> None:
    wire, body = ENDING_BY_THEMSELVES[data.draw(st.sampled_from(sorted(ENDING_BY_THEMSELVES)))]
    cuts = data.draw(st.lists(st.integers(1, len(wire) - 1), unique=True).map(sorted))
    message = fed(*(wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)))
    assert message.complete
    assert message.fault is None
    assert message.take() == body


@pytest.mark.parametrize("case", ENDING_BY_THEMSELVES)
def test_an_end_before_the_end_is_a_fault(case: str) -> None:
    data, _ = ENDING_BY_THEMSELVES[case]
    for at in range(1, len(data)):
        message = fed(data[:at])
        message.end()
        assert not message.complete
        assert message.fault is not None
        assert "before the end" in message.fault


@given(st.binary(max_size=400))
def test_garbage_is_a_fault_or_waits_for_more(data: bytes) -> None:
    message = fed(data)
    assert not message.complete or data.startswith((b"HTTP/", b"\r", b"\n", b"RTSP/", b"ICE/"))
    if not message.over:
        message.end()
        assert message.over


def test_a_body_that_lasts_until_the_end() -> None:
    message = fed(b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo")
    assert not message.over
    message.end()
    assert message.complete
    assert message.take() == b"hello"
    assert not message.keep_alive


@pytest.mark.parametrize(
    ("answer", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\nconnection: keep-alive\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\ncontent-length: 4\r\n\r\n", False),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nH", False),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
            False,
        ),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\nzzz", False),
    ],
)
def test_when_a_connection_may_be_used_again(answer: bytes, keep_alive: bool) -> None:
    message = fed(answer)
    assert message.complete
    assert message.fault is None
    assert message.keep_alive is keep_alive
    assert message.take() == b""


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n", "not a proper HTTP response"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "not a proper HTTP response"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n", "not a proper HTTP response"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n",
            "not a proper HTTP response",
        ),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n", "transfer coding gzip, chunked"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\n", "transfer coding identity"),
        (b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n", "not a proper HTTP response"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhelloworld",
            "not a proper HTTP response",
        ),
        (b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\n\r\n", "not a proper HTTP response"),
        (b"HTTP/1.1 200 OK\r\nx : a\r\n\r\n", "not a proper HTTP response"),
        (b"HTTP/1.1 200 OK\ncontent-length: 0\n\n", "not a proper HTTP response"),
        (b"HTTP/1.1 099 Hm\r\n\r\n", "no HTTP status"),
        (b"HTTP/1.1 103 Early Hints\r\ncontent-length: 3\r\n\r\n", "interim response that announces a body"),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 0\r\n\r\n", "compressed response (br)"),
    ],
)
def test_framing_that_is_a_matter_of_opinion(answer: bytes, fault: str) -> None:
    message = fed(answer)
    assert message.fault is not None
    assert fault in message.fault


def test_codings() -> None:
    compressed = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx"
    assert fed(compressed, any_coding=True).complete
    assert fed(compressed.replace(b"gzip", b"Identity")).complete


def head(size: int) -> bytes:
    """A head of exactly `size` bytes that announces no body."""
    start = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: "
    return start + b"y" * (size - len(start) - 4) + b"\r\n\r\n"


@pytest.mark.parametrize("step", [1, 100, 100_000])
def test_the_bound_on_a_head(step: int) -> None:
    def in_steps(data: bytes) -> Message:
        return fed(*(data[at : at + step] for at in range(0, len(data), step)), limit=1000)

    assert in_steps(head(1000)).complete
    assert "longer than 1000 bytes" in (in_steps(head(1100)).fault or "")


def test_the_bound_on_a_head_does_not_count_the_body() -> None:
    message = fed(b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n" + b"x" * 5000, limit=1000)
    assert message.complete


def test_the_bound_on_what_frames_a_body() -> None:
    start = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    assert "chunk extensions" in (fed(start + b"1;", *[b"e" * 100] * 11, limit=1000).fault or "")
    assert "trailers" in (fed(start, b"0\r\nx: ", *[b"e" * 100] * 11, limit=1000).fault or "")
    # Framing that comes with body may go on for as long as the body does.
    assert fed(start, *[b"1;e=eeeeeeeeeeeeeeeeeee\r\nx\r\n"] * 1000, limit=1000).fault is None


def test_interim_responses_share_the_bound() -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nx: " + b"y" * 400 + b"\r\n\r\n"
    assert "longer than 1000 bytes" in (fed(hint, hint, hint, limit=1000).fault or "")
