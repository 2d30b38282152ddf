"""Images by their URLs become bytes: all of them, within bounds, or a refusal that names the one at fault."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from quantized.core.errors import ImageNotFetched, Unavailable
from quantized.core.parts import Image, Text, ToolResult
from quantized.core.request import GenerationRequest, Message
from quantized.gateway.remote_images import ImageLimits, RemoteImages
from quantized.upstream.fetch import FetchLimits, ImageFetcher

PNG = b"\x89PNG\r\n\x1a\n"
SIZE = 100


class Gallery:
    """Serves `/N` as a PNG of 100 bytes that ends in N, `/none` as 404, `/slow` never; counts what it serves
    at once."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.at_once = self.most_at_once = 0
        self.go = asyncio.Event()
        self.go.set()
        self.two = asyncio.Event()
        self.any = asyncio.Event()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        self.asked.append(path)
        self.any.set()
        self.at_once += 1
        if self.at_once == 2:
            self.two.set()
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.go.wait()
        if path.startswith("/slow"):
            await reader.read()
        self.at_once -= 1
        status = "404 Not Found" if path == "/none" else "200 OK"
        body = PNG.ljust(SIZE - len(path), b".") + path.encode()
        writer.write(
            f"HTTP/1.1 {status}\r\ncontent-type: image/png\r\ncontent-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        writer.close()

    def url(self, name: object) -> str:
        return f"http://127.0.0.1:{self.port}/{name}"

    def images(self, *, image_seconds: float = 5.0, **limits: float) -> RemoteImages:
        fetcher = ImageFetcher(
            FetchLimits(seconds=image_seconds), judge=lambda _: True, ports=frozenset({self.port})
        )
        return RemoteImages(fetcher, ImageLimits(**limits))  # type: ignore[arg-type]


@pytest_asyncio.fixture
async def gallery() -> AsyncIterator[Gallery]:
    gallery = Gallery()
    server = await asyncio.start_server(gallery.serve, "127.0.0.1", 0)
    gallery.port = server.sockets[0].getsockname()[1]
    yield gallery
    server.close()


def request(*messages: Message) -> GenerationRequest:
    return GenerationRequest("a/model", messages)


def user(*urls: str) -> Message:
    return Message("user", (Text("Look:"), *map(Image, urls)))


def taken(asked: GenerationRequest) -> None:
    """Whoever looks before has nothing against it."""
    urls = [part.url for message in asked.messages for part in message.parts if isinstance(part, Image)]
    assert all(url.startswith("data:") for url in urls)


def inlined(name: object) -> str:
    path = f"/{name}"
    return "data:image/png;base64," + b64encode(PNG.ljust(SIZE - len(path), b".") + path.encode()).decode()


async def test_every_url_becomes_its_image_and_all_else_stays(gallery: Gallery) -> None:
    kept = "data:image/gif;base64,R0lGODdh"
    result = Message("tool", (ToolResult("call_1", (Text("There."), Image(gallery.url(3)))),))
    asked = request(
        user(gallery.url(1), kept),
        Message("user", (Image(gallery.url(2), "high"), Image(gallery.url(1)))),
        result,
    )
    found = await gallery.images().inlined(asked, taken, "L")
    assert found == request(
        user(inlined(1), kept),
        Message("user", (Image(inlined(2), "high"), Image(inlined(1)))),
        Message("tool", (ToolResult("call_1", (Text("There."), Image(inlined(3)))),)),
    )
    assert sorted(gallery.asked) == ["/1", "/2", "/3"], "the same URL is fetched once"


async def test_without_urls_nothing_changes(gallery: Gallery) -> None:
    asked = request(user("data:image/gif;base64,R0lGODdh"))
    assert await gallery.images().inlined(asked, taken, "L") is asked


async def refused(images: RemoteImages, asked: GenerationRequest) -> ImageNotFetched:
    with pytest.raises(ImageNotFetched) as fault:
        await images.inlined(asked, taken, "L")
    return fault.value


async def test_one_that_is_not_there_is_named_and_the_others_are_given_up(gallery: Gallery) -> None:
    fault = await refused(gallery.images(), request(user(gallery.url("slow")), user(gallery.url("none"))))
    assert fault.param == "messages[1].content[1].image_url.url"
    assert "404" in fault.message and fault.param in fault.message


async def test_an_image_in_a_tools_result_is_named_as_well(gallery: Gallery) -> None:
    result = Message("tool", (ToolResult("call_1", (Text("There."), Image(gallery.url("none")))),))
    fault = await refused(gallery.images(), request(user(), result))
    assert fault.param == "messages[1].content[1].image_url.url"


async def test_too_many_are_refused_before_any_is_fetched(gallery: Gallery) -> None:
    urls = [gallery.url(n) for n in range(4)]
    fault = await refused(gallery.images(per_request=3), request(user(*urls)))
    assert fault.param == "messages[0].content[4].image_url.url"
    assert "at most 3" in fault.message
    assert gallery.asked == []
    assert await gallery.images(per_request=4).inlined(request(user(*urls, urls[0])), taken, "L")


async def test_too_much_is_refused(gallery: Gallery) -> None:
    urls = [gallery.url(n) for n in range(3)]
    fault = await refused(gallery.images(bytes=3 * SIZE - 1), request(user(*urls)))
    assert f"{3 * SIZE - 1} bytes" in fault.message
    assert await gallery.images(bytes=3 * SIZE).inlined(request(user(*urls)), taken, "L")


async def test_all_together_have_an_end_that_is_no_images_fault(gallery: Gallery) -> None:
    images = gallery.images(seconds=0.2, at_once=1)
    with pytest.raises(Unavailable) as fault:
        await images.inlined(request(user(gallery.url("slow"), gallery.url(1))), taken, "L")
    assert "2 of 2 images" in (fault.value.cause or "")


async def test_an_image_that_waits_for_others_is_not_late(gallery: Gallery) -> None:
    """What an image may take counts from when it is asked for."""
    images = gallery.images(at_once=1, image_seconds=1.5)
    gallery.go.clear()
    both = asyncio.gather(
        refused(images, request(user(gallery.url("slow")))),
        images.inlined(request(user(gallery.url(1))), taken, "M"),
    )
    async with asyncio.timeout(50):
        await gallery.any.wait()
    gallery.go.set()
    fault, found = await both
    assert "1.5 seconds" in fault.message
    assert found == request(user(inlined(1)))


async def test_no_licence_takes_the_slots_of_another(gallery: Gallery) -> None:
    """However many requests it sends, and whatever it names there."""
    images = gallery.images(at_once=4, each=2)
    slow = [request(user(*(gallery.url(f"slow?{r}{n}") for n in range(10)))) for r in range(3)]
    greedy = [asyncio.create_task(images.inlined(one, taken, "greedy")) for one in slow]
    async with asyncio.timeout(50):
        await gallery.two.wait()
        found = await images.inlined(request(user(*map(gallery.url, range(6)))), taken, "other")
    assert found == request(user(*map(inlined, range(6))))
    assert len([path for path in gallery.asked if path.startswith("/slow")]) == 2
    for task in greedy:
        task.cancel()
    await asyncio.gather(*greedy, return_exceptions=True)


async def test_only_so_many_are_fetched_at_once(gallery: Gallery) -> None:
    """Over all requests."""
    images = gallery.images(at_once=2)
    asked = [request(user(*(gallery.url(f"{r}{n}") for n in range(3)))) for r in range(2)]
    gallery.go.clear()
    both = asyncio.gather(*(images.inlined(one, taken, "L") for one in asked))
    async with asyncio.timeout(50):
        await gallery.two.wait()
    gallery.go.set()
    await both
    assert gallery.most_at_once == 2
    assert len(gallery.asked) == 6


async def test_who_leaves_leaves_no_fetch_behind(gallery: Gallery) -> None:
    images = gallery.images(at_once=1)
    task = asyncio.create_task(images.inlined(request(user(gallery.url("slow"))), taken, "L"))
    async with asyncio.timeout(50):
        await gallery.any.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await images.inlined(request(user(gallery.url(1))), taken, "L")
