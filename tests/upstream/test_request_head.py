"""From a call to bytes, or to a refusal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantized.providers.provider import UpstreamCall
from quantized.upstream.request import Origin, framed, locate, request_head


def wire(call: UpstreamCall) -> str:
    return framed(request_head(call), call.method, call.body).decode("latin-1")


@pytest.mark.parametrize(
    ("url", "origin", "target", "host"),
    [
        ("https://Example.ORG/v1/chat", ("https", "example.org", 443), "/v1/chat", "example.org"),
        ("https://example.org:443", ("https", "example.org", 443), "/", "example.org"),
        ("https://example.org:8443/", ("https", "example.org", 8443), "/", "example.org:8443"),
        ("http://example.org:443/", ("http", "example.org", 443), "/", "example.org:443"),
        ("http://127.0.0.1:8080/a?b=c&d", ("http", "127.0.0.1", 8080), "/a?b=c&d", "127.0.0.1:8080"),
        ("http://[::1]:8080/a", ("http", "::1", 8080), "/a", "[::1]:8080"),
        ("http://[2001:DB8::1]/a", ("http", "2001:db8::1", 80), "/a", "[2001:db8::1]"),
        ("http://a.b/m/arn%3Aaws%2Fx/c", ("http", "a.b", 80), "/m/arn%3Aaws%2Fx/c", "a.b"),
        ("http://a.b?x", ("http", "a.b", 80), "/?x", "a.b"),
    ],
)
def test_urls(url: str, origin: tuple[str, str, int], target: str, host: str) -> None:
    assert locate(url) == (Origin(*origin), target)
    assert wire(UpstreamCall(url, (), b"")).startswith(f"POST {target} HTTP/1.1\r\nhost: {host}\r\n")


@pytest.mark.parametrize(
    "url",
    [
        "/v1/chat",
        "ftp://example.org/",
        "http://",
        "http:///path",
        "http://user:secret@example.org/",
        "http://example.org/#part",
        "http://example.org/a b",
        "http://example.org/\r\nx: y",
        "http://example.org/\tx",
        "http://example.org/\x00",
        "http://example.org/ä",
        "http://exämple.org/",
        "http://exa mple.org/",
        "http://a..b/",
        f"http://{'a' * 64}.org/",
        f"http://{'a.' * 127}org/",
        "http://a<b>/",
        "http://example.org:99999/",
        "http://example.org:port/",
        "http://[::1/",
        "http://[::1%25eth0]/",
        "http://[nonsense]/",
    ],
)
def test_urls_refused(url: str) -> None:
    with pytest.raises(ValueError) as refusal:
        request_head(UpstreamCall(url, (), b""))
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", "secret\r\ninjected: 1"),
        ("x", "secret\nb"),
        ("x", "secret\rb"),
        ("x", "secret\x00"),
        ("x", "secret\x7f"),
        ("x", "secret Ω"),
        ("secret x", "b"),
        ("secret:", "b"),
        ("secret\r\nx", "b"),
        ("", "secret"),
        ("Content-Length", "secret"),
        ("transfer-encoding", "secret"),
        ("connection", "secret"),
        ("host", "secret"),
    ],
)
def test_headers_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError) as refusal:
        request_head(UpstreamCall("http://a.b/", ((name, value),), b""))
    assert "secret" not in str(refusal.value)


@pytest.mark.parametrize("method", ["", "GET /", "G\r\nT", "HEAD", "CONNECT"])
def test_methods_refused(method: str) -> None:
    with pytest.raises(ValueError):
        request_head(UpstreamCall("http://a.b/", (), b"", method))


def test_the_caller_may_choose_the_content_codings() -> None:
    sent = wire(UpstreamCall("http://a.b/", (("Accept-Encoding", "gzip"),), b"{}"))
    assert sent == "POST / HTTP/1.1\r\nhost: a.b\r\nAccept-Encoding: gzip\r\ncontent-length: 2\r\n\r\n"


def test_an_empty_post_says_so() -> None:
    assert "content-length: 0\r\n" in wire(UpstreamCall("http://a.b/", (), b""))
    assert "content-length" not in wire(UpstreamCall("http://a.b/", (), b"", "GET"))


@given(st.text(), st.text())
def test_no_header_ever_adds_a_line(name: str, value: str) -> None:
    call = UpstreamCall("http://a.b/", ((name, value),), b"")
    try:
        sent = wire(call)
    except ValueError:
        return
    assert len(sent.split("\r\n")) == 7
    assert sent.count("\r") == sent.count("\n") == 6
    assert f"{name}: {value}\r\n" in sent


@given(
    st.lists(st.sampled_from([("accept", "*/*"), ("x-a", "1"), ("accept-encoding", "gzip")]), max_size=3),
    st.lists(st.sampled_from([("x-amz-date", "20260101T000000Z"), ("authorization", "signed")]), max_size=2),
)
def test_headers_of_one_call_alone_come_after_the_others(
    shared: list[tuple[str, str]], once: list[tuple[str, str]]
) -> None:
    url = "http://a.b/c"
    apart = wire(UpstreamCall(url, tuple(shared), b"x", once=tuple(once)))
    assert sorted(apart.split("\r\n")) == sorted(
        wire(UpstreamCall(url, (*shared, *once), b"x")).split("\r\n")
    )
    assert wire(UpstreamCall(url, tuple(shared), b"x")) != apart or not once


@pytest.mark.parametrize("field", [("host", "x"), ("x-a", "1\r\nx-b: 2"), ("x a", "1")])
def test_headers_of_one_call_alone_are_checked_like_the_others(field: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="header"):
        wire(UpstreamCall("http://a.b/c", (), b"", once=(field,)))
