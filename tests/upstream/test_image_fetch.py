"""The guarded fetcher: what it brings, and where it never goes."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from ipaddress import ip_address

import pytest
import pytest_asyncio
import trustme
from msgspec.structs import replace
from scripted_server import Peer, Received, Script, Server, eventually, leaked_since, open_sockets

from quantized.core.errors import ImageNotFetched
from quantized.upstream.fetch import FetchedImage, FetchLimits, ImageFetcher
from quantized.upstream.public_address import IPAddress, is_public

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels" * 10
FIELD = "messages.0.content.1.image_url.url"
LIMITS = FetchLimits(bytes=1000, seconds=10, connect=5, redirects=2)
HERE = ip_address("127.0.0.1")


class Names:
    """A resolver whose answers a test tells, one after the other; the last again and again."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self.answers = {name.replace("_", "."): list(given) for name, given in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.answers:
            raise OSError(-2, "Name or service not known")
        given = self.answers[host]
        return given.pop(0) if len(given) > 1 else given[0]


def only_here(address: IPAddress) -> bool:
    return address == HERE or is_public(address)


@pytest_asyncio.fixture(autouse=True)
async def nothing_stays_open() -> AsyncIterator[None]:
    before = open_sockets()
    yield
    await eventually(lambda: not leaked_since(before))


def fetcher(server: Server, names: Names | None = None, limits: FetchLimits = LIMITS, **rest) -> ImageFetcher:
    names = names or Names(img_example=[["127.0.0.1"]])
    return ImageFetcher(limits, judge=only_here, resolve=names, ports=frozenset({server.port}), **rest)


def response(body: bytes = PNG, media_type: str = "image/png", status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def redirect(to: str, status: str = "302 Found") -> bytes:
    return f"HTTP/1.1 {status}\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n".encode()


def telling(seen: list[Received], *answers: bytes) -> list[Script]:
    """A script for each connection, which answers and waits until the client leaves."""

    def script(answer: bytes) -> Script:
        async def run(peer: Peer) -> None:
            seen.append(await peer.answer(answer))
            await peer.gone()

        return run

    return [script(answer) for answer in answers]


async def refused(fetching: ImageFetcher, url: str) -> ImageNotFetched:
    with pytest.raises(ImageNotFetched) as fault:
        await fetching.fetch(url, FIELD)
    assert fault.value.param == FIELD
    assert fault.value.message.startswith(f"Invalid value for '{FIELD}': ")
    assert fault.value.message.endswith(".")
    return fault.value


async def test_an_image_with_the_name_told_and_nothing_of_ours(server: Server) -> None:
    seen: list[Received] = []
    server.serve(*telling(seen, response()))
    url = f"http://img.example:{server.port}/a%20b.png?x=1#top"
    assert await fetcher(server).fetch(url, FIELD) == FetchedImage("image/png", PNG)
    [request] = seen
    assert request.line == "GET /a%20b.png?x=1 HTTP/1.1"
    assert dict(request.headers) == {
        "host": f"img.example:{server.port}",
        "accept": "image/png, image/jpeg, image/gif, image/webp",
        "user-agent": "quantized",
        "accept-encoding": "identity",
    }


async def test_over_tls_the_name_is_told_and_checked() -> None:
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("img.example").configure_cert(serving)
    told: list[str | None] = []
    serving.sni_callback = lambda _, name, __: told.append(name)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    names = Names(img_example=[["127.0.0.1"]], other_example=[["127.0.0.1"]])
    async with Server(tls=serving) as server:
        seen: list[Received] = []
        server.serve(*telling(seen, response()))
        fetching = fetcher(server, names, ssl_context=trusting)
        url = f"https://img.example:{server.port}/"
        assert (await fetching.fetch(url, FIELD)).data == PNG
        assert told == ["img.example"]
        fault = await refused(fetching, f"https://other.example:{server.port}/")
        assert "could not be reached" in fault.message
        assert "certificate" in fault.cause
        assert "could not be reached" in (await refused(fetcher(server, names), url)).message


@pytest.mark.parametrize(
    ("said", "data", "media_type"),
    [
        ("image/png", PNG, "image/png"),
        ("IMAGE/JPEG ; q=1", b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        ("image/jpg", b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        ("image/gif", b"GIF89a...", "image/gif"),
        ("image/gif", b"GIF87a...", "image/gif"),
        ("image/webp", b"RIFF\n\x00\x00\xffWEBPVP8 ", "image/webp"),
        ("image/png", b"\xff\xd8\xff\xe0rest", "image/jpeg"),
    ],
)
async def test_the_bytes_say_what_they_are(server: Server, said: str, data: bytes, media_type: str) -> None:
    server.serve(*telling([], response(data, said)))
    url = f"http://img.example:{server.port}/"
    assert await fetcher(server).fetch(url, FIELD) == FetchedImage(media_type, data)


@pytest.mark.parametrize(
    ("said", "data"),
    [
        ("text/html", PNG),
        ("", PNG),
        ("image/svg+xml", b"<svg/>"),
        ("application/json", b'{"AccessKeyId":"x"}'),
        ("image/png", b"<html>"),
        ("image/png", b""),
        ("image/webp", b"RIFF1234WAVE"),
    ],
)
async def test_no_image(server: Server, said: str, data: bytes) -> None:
    server.serve(*telling([], response(data, said)))
    fault = await refused(fetcher(server), f"http://img.example:{server.port}/")
    assert "no PNG, JPEG, GIF or WebP image" in fault.message


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1.2.3",
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "192.168.0.1",
        "172.16.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "127.0.0.1.",
        "[::1]",
        "[::]",
        "[::127.0.0.1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:a9fe:a9fe]",
        "[64:ff9b::169.254.169.254]",
        "[2002:7f00:1::]",
        "[2001:0:7f00:1::]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "localhost",
        "LocalHost.",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_nothing_inside_is_asked(server: Server, host: str, scheme: str) -> None:
    """With the judge and the resolver that it has by itself; at the port of a server that would answer."""
    server.serve(*telling([], response()))
    fetching = ImageFetcher(LIMITS, ports=frozenset({server.port}))
    fault = await refused(fetching, f"{scheme}://{host}:{server.port}/x.png")
    assert "no public address" in fault.message
    assert server.accepted == 0


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7F.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "127.0.1",
        "127.0.0.0x1",
        "127.0.0.01",
        "1.2.3.4.5",
        "256.1.1.1",
        "134744072",
        "a.0x",
        "2130706433.",
    ],
)
async def test_a_number_that_resolvers_take_for_an_address_is_none(server: Server, host: str) -> None:
    server.serve(*telling([], response()))
    names = Names(**{host.replace(".", "_"): [["127.0.0.1"]]})
    fault = await refused(fetcher(server, names), f"http://{host}:{server.port}/")
    assert "four decimal numbers" in fault.message
    assert (names.asked, server.accepted) == ([], 0)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "img.example/x.png",
        "/x.png",
        "file:///etc/passwd",
        "ftp://img.example/",
        "gopher://img.example/",
        "data:image/png;base64,AAAA",
        "http:///x.png",
        "http://user@img.example/",
        "http://user:password@img.example/",
        "http://img.example:PORT@127.0.0.1/",
        "http://img.example\\@127.0.0.1/",
        "http://127.0.0.1%2f.img.example/",
        "http://%31%32%37.0.0.1/",
        "http://①②⑦.0.0.1/",
        "http://img.example/a b.png",
        "http://img.example/\r\nx: y",
        "http://[::1%25lo]/",
        "http://[::1",
        "http://[v1.x]/",
        "http://img.example:99999/",
        "http://img.example:-1/",
        "http://img.example:x/",
        "http://img..example/",
        "http://img.example/" + "x" * 9000,
    ],
)
async def test_what_is_no_url_of_an_image(server: Server, url: str) -> None:
    server.serve(*telling([], response()))
    names = Names(img_example=[["127.0.0.1"]])
    fault = await refused(fetcher(server, names), url.replace("PORT", str(server.port)))
    assert "password" not in fault.message or "user name or password" in fault.message
    assert (names.asked, server.accepted) == ([], 0)


@pytest.mark.parametrize("host", ["[v1.a:b]", "[::1", "[1::2::3]", "[:]"])
async def test_a_host_that_is_none_is_told_in_words_of_ours(host: str) -> None:
    fault = await refused(ImageFetcher(), f"http://{host}/")
    assert "neither an IP address nor a DNS name" in fault.message


@pytest.mark.parametrize("place", ["", ":22", ":8080", ":6379", ":0"])
async def test_ports(server: Server, place: str) -> None:
    names = Names(img_example=[["127.0.0.1"]])
    fault = await refused(fetcher(server, names), f"https://img.example{place}/")
    assert "port" in fault.message
    assert names.asked == []


async def test_the_usual_ports_are_the_two_of_the_web() -> None:
    names = Names(img_example=[["10.0.0.1"]])
    fetching = ImageFetcher(resolve=names)
    for url in ("http://img.example/", "https://img.example/", "https://img.example:80/"):
        assert "no public address" in (await refused(fetching, url)).message
    assert "port" in (await refused(fetching, "https://img.example:8443/")).message
    assert len(names.asked) == 3


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.1"],
        ["127.0.0.1", "10.0.0.1"],
        ["10.0.0.1", "127.0.0.1"],
        ["127.0.0.1", "::ffff:169.254.169.254"],
        ["127.0.0.1"] * 9 + ["192.168.0.1"],
        ["fe80::1%lo"],
        [],
    ],
)
async def test_one_address_inside_is_too_many(server: Server, addresses: list[str]) -> None:
    server.serve(*telling([], response()))
    fault = await refused(
        fetcher(server, Names(img_example=[addresses])), f"http://img.example:{server.port}/"
    )
    assert "no public address" in fault.message
    assert server.accepted == 0


async def test_whether_a_name_exists_inside_is_not_told(server: Server) -> None:
    names = Names(wiki_internal=[["10.0.0.1"]])
    inside = await refused(fetcher(server, names), f"http://wiki.internal:{server.port}/")
    nowhere = await refused(fetcher(server, names), f"http://nobody.internal:{server.port}/")
    assert inside.message == nowhere.message
    assert inside.cause != nowhere.cause


async def test_a_name_is_resolved_once_and_the_connection_goes_to_what_was_judged(server: Server) -> None:
    server.serve(*telling([], response()))
    names = Names(img_example=[["127.0.0.1"], ["10.0.0.1"]])
    url = f"http://img.example:{server.port}/"
    assert (await fetcher(server, names).fetch(url, FIELD)).data == PNG
    assert names.asked == ["img.example"]


async def test_a_redirect_to_the_same_name_is_judged_anew(server: Server) -> None:
    server.serve(*telling([], redirect("/again"), response()))
    names = Names(img_example=[["127.0.0.1"], ["10.0.0.1"]])
    fault = await refused(fetcher(server, names), f"http://img.example:{server.port}/")
    assert "no public address" in fault.message
    assert (names.asked, server.accepted) == (["img.example"] * 2, 1)


async def test_a_second_address_is_tried_where_the_first_does_not_answer(server: Server) -> None:
    server.serve(*telling([], response()))

    def judge(address: IPAddress) -> bool:
        return address.is_loopback

    fetching = ImageFetcher(
        LIMITS,
        judge=judge,
        resolve=Names(img_example=[["127.0.0.2", "127.0.0.1"]]),
        ports=frozenset({server.port}),
    )
    assert (await fetching.fetch(f"http://img.example:{server.port}/", FIELD)).data == PNG


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "307 Temporary", "308 Permanent"])
async def test_redirects_are_followed(server: Server, status: str) -> None:
    seen: list[Received] = []
    there = f"http://cdn.example:{server.port}/b.png#part"
    server.serve(*telling(seen, redirect("sub/a.png?x", status), redirect(there, status), response()))
    names = Names(img_example=[["127.0.0.1"]], cdn_example=[["127.0.0.1"]])
    url = f"http://img.example:{server.port}/dir/first"
    assert (await fetcher(server, names).fetch(url, FIELD)).data == PNG
    assert [request.line.split()[1] for request in seen] == ["/dir/first", "/dir/sub/a.png?x", "/b.png"]
    assert [request.header("host") for request in seen] == [
        f"{name}.example:{server.port}" for name in ("img", "img", "cdn")
    ]


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("http://10.0.0.1:PORT/", "no public address"),
        ("http://169.254.169.254:PORT/latest/meta-data/", "no public address"),
        ("http://[::1]:PORT/", "no public address"),
        ("//inside.example:PORT/", "no public address"),
        ("http://nobody.example:PORT/", "no public address"),
        ("http://2130706433:PORT/", "four decimal"),
        ("http://img.example:22/", "port"),
        ("https://img.example/", "port"),
        ("file:///etc/passwd", "must begin"),
        ("javascript:alert(1)", "must begin"),
        ("http://user:secret@img.example:PORT/", "user name"),
        ("http://[", "no URL"),
        ("/a b", "percent-encoded"),
        ("/again", "more than 2 times"),
    ],
)
async def test_redirects_that_are_not_followed(server: Server, to: str, words: str) -> None:
    server.serve(*telling([], redirect(to.replace("PORT", str(server.port)))))
    names = Names(img_example=[["127.0.0.1"]], inside_example=[["192.168.0.1"]])
    fault = await refused(fetcher(server, names), f"http://img.example:{server.port}/")
    assert words in fault.message
    assert "secret" not in fault.message
    assert server.accepted == (3 if to == "/again" else 1)


async def test_no_way_back_from_https() -> None:
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("img.example").configure_cert(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with Server(tls=serving) as server:
        server.serve(*telling([], redirect(f"http://img.example:{server.port}/")))
        fetching = fetcher(server, ssl_context=trusting)
        fault = await refused(fetching, f"https://img.example:{server.port}/")
        assert "from https" in fault.message
        assert server.accepted == 1


@pytest.mark.parametrize(
    "answer",
    [
        response(b"", status="404 Not Found"),
        response(status="206 Partial Content"),
        b"HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\n\r\n",
    ],
)
async def test_any_other_status(server: Server, answer: bytes) -> None:
    server.serve(*telling([], answer))
    fault = await refused(fetcher(server), f"http://img.example:{server.port}/")
    assert f"status {answer[9:12].decode()}" in fault.message


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 40_000,
        b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx",
        b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ntransfer-encoding: chunked\r\n\r\nnonsense",
    ],
)
async def test_no_proper_answer(server: Server, answer: bytes) -> None:
    server.serve(*telling([], answer))
    fault = await refused(fetcher(server), f"http://img.example:{server.port}/")
    assert "no proper answer" in fault.message
    assert fault.cause


async def test_a_body_that_is_cut_off(server: Server) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(response()[:-5])
        peer.close()

    server.serve(script)
    assert (
        "no proper answer" in (await refused(fetcher(server), f"http://img.example:{server.port}/")).message
    )


async def test_the_largest_image(server: Server) -> None:
    image = PNG.ljust(1000, b"x")
    chunked = b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ntransfer-encoding: chunked\r\n\r\n"
    whole = chunked + b"3e8\r\n" + image + b"\r\n0\r\n\r\n"
    server.serve(*telling([], response(image), whole))
    for _ in range(2):
        url = f"http://img.example:{server.port}/"
        assert (await fetcher(server).fetch(url, FIELD)).data == image


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-length: 1001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ntransfer-encoding: chunked\r\n\r\n"
        + (b"64\r\n" + b"x" * 100 + b"\r\n") * 11,
        b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n\r\n" + b"x" * 1001,
    ],
    ids=["said", "chunked", "until the end"],
)
async def test_too_large_before_it_has_come(server: Server, answer: bytes) -> None:
    """None of these is ever complete."""
    server.serve(*telling([], answer))
    fault = await refused(fetcher(server), f"http://img.example:{server.port}/")
    assert "larger than 1000 bytes" in fault.message


async def test_a_drip_has_an_end(server: Server) -> None:
    async def drip(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n\r\n")
        while True:
            peer.write(b"x")
            await asyncio.sleep(0.01)

    server.serve(drip)
    fault = await refused(
        fetcher(server, limits=replace(LIMITS, seconds=0.2)), f"http://img.example:{server.port}/"
    )
    assert "within 0.2 seconds" in fault.message


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nx"])
async def test_silence_has_an_end(server: Server, answer: bytes) -> None:
    server.serve(*telling([], answer))
    fault = await refused(
        fetcher(server, limits=replace(LIMITS, seconds=0.1)), f"http://img.example:{server.port}/"
    )
    assert "within 0.1 seconds" in fault.message


async def test_a_resolver_without_answer_has_an_end(server: Server) -> None:
    async def silent(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    fetching = ImageFetcher(replace(LIMITS, seconds=0.1), resolve=silent)
    assert "within 0.1 seconds" in (await refused(fetching, "http://img.example/")).message


async def test_a_handshake_without_end_has_one(server: Server) -> None:
    server.serve(lambda peer: peer.gone())
    fetching = fetcher(server, limits=replace(LIMITS, connect=0.1))
    fault = await refused(fetching, f"https://img.example:{server.port}/")
    assert "could not be reached" in fault.message


async def test_nobody_listens(server: Server) -> None:
    server.serve(*telling([], response()))
    await server.close()
    fault = await refused(fetcher(server), f"http://img.example:{server.port}/")
    assert "could not be reached" in fault.message
    assert "127.0.0.1" in fault.cause
    assert "127.0.0.1" not in fault.message


async def test_a_cancelled_fetch_leaves_no_connection(server: Server) -> None:
    answered, gone = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\ncontent-type: image/png\r\n\r\n\x89PNG")
        answered.set()
        await peer.gone()
        gone.set()

    server.serve(script)
    task = asyncio.ensure_future(fetcher(server).fetch(f"http://img.example:{server.port}/", FIELD))
    async with asyncio.timeout(50):
        await answered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with asyncio.timeout(50):
        await gone.wait()


async def test_many_at_once(server: Server) -> None:
    server.serve(*telling([], response()))
    fetching = fetcher(server)
    url = f"http://img.example:{server.port}/"
    images = await asyncio.gather(*(fetching.fetch(url, FIELD) for _ in range(20)))
    assert {image.data for image in images} == {PNG}
