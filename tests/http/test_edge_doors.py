"""The edge's two doors: faults of ours, cancellation, and what a page of another origin is told."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from served import Served, eventually, request

from quantized.gateway.journal import Journal
from quantized.http.direct import DirectExchange, Watch
from quantized.http.edge import Edge

PAGE = "https://chat.example.edu"


class Clock:
    def now_ms(self) -> int:
        return 1_719_000_000_000

    def monotonic(self) -> float:
        return 0.0


class Doors(Served):
    """An edge with endpoints that fail, each in its way."""

    def __init__(self) -> None:
        super().__init__()
        self.journals: list[Journal] = []
        hot = {
            "/fails": self._fails,
            "/fails-late": self._fails_late,
            "/hangs": self._hangs,
            "/answers": self._answers,
        }
        self.edge = Edge(hot, self._cold, Clock(), self.journals.append, [PAGE])
        self.direct, self.asgi, self.refused = self.edge.direct, self.edge.asgi, self.edge.refused

    async def _fails(self, exchange: DirectExchange, journal: Journal) -> None:
        raise LookupError(journal.surface)

    async def _fails_late(self, exchange: DirectExchange, journal: Journal) -> None:
        journal.status = 200
        exchange.begin_events([], Watch(60, 60, 60))
        exchange.push(b"some")
        raise LookupError(journal.surface)

    async def _hangs(self, exchange: DirectExchange, journal: Journal) -> None:
        self.begun.set()
        await asyncio.Event().wait()

    async def _answers(self, exchange: DirectExchange, journal: Journal) -> None:
        journal.status = 200
        exchange.respond(200, b"{}")

    async def _cold(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/fails-cold":
            raise LookupError("cold")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"{}"})


@pytest_asyncio.fixture
async def doors() -> AsyncIterator[Doors]:
    async with Doors() as doors:
        yield doors


@pytest.mark.parametrize("path", ["/fails", "/fails-cold"])
async def test_a_fault_of_ours_is_a_500_with_its_id(
    doors: Doors, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    client = await doors.connect()
    await client.send(request(path) + request("/answers"))
    answer = await client.answer()
    assert (answer.status, answer.json["error"]["type"]) == (500, "server_error")
    assert (await client.answer()).status == 200
    failed, answered = doors.journals
    assert (failed.status, failed.error, answered.status) == (500, "LookupError", 200)
    assert answer.headers["x-request-id"] == failed.request_id
    assert failed.request_id in [getattr(record, "request_id", None) for record in caplog.records]


async def test_a_stream_that_a_fault_of_ours_breaks_has_no_end(doors: Doors) -> None:
    client = await doors.connect()
    await client.send(request("/fails-late"))
    assert (await client.rest()).endswith(b"4\r\nsome\r\n")
    assert (doors.journals[0].status, doors.journals[0].error) == (200, "LookupError")


async def test_who_leaves_is_logged_as_gone(doors: Doors) -> None:
    client = await doors.connect()
    await client.send(request("/hangs"))
    await doors.begun.wait()
    await client.leave()
    await eventually(lambda: doors.journals)
    assert doors.journals[0].status == 499


async def test_what_is_cancelled_by_the_server_is_waited_for_and_told(doors: Doors) -> None:
    client = await doors.connect()
    await client.send(request("/hangs"))
    await doors.begun.wait()
    for task in tuple(doors.state.tasks):
        task.cancel()
    await doors.edge.drained()
    assert doors.journals[0].outcome == "shut_down"
    assert (await client.answer()).status == 503


async def test_a_hot_path_is_for_post_alone(doors: Doors) -> None:
    client = await doors.connect()
    await client.send(request("/answers", method="GET"))
    answer = await client.answer()
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert "GET /answers" in answer.json["error"]["message"]


@pytest.mark.parametrize("path", ["/answers", "/cold", "/fails"])
@pytest.mark.parametrize("origin", [PAGE, "https://evil.example.com", None])
async def test_both_doors_tell_a_page_the_same(doors: Doors, path: str, origin: str | None) -> None:
    client = await doors.connect()
    await client.send(request(path, b"", *([f"origin: {origin}"] if origin else [])))
    headers = (await client.answer()).headers
    assert headers["vary"] == "Origin"
    assert headers.get("access-control-allow-origin") == (origin if origin == PAGE else None)
    assert ("access-control-expose-headers" in headers) == (origin is not None)


async def test_a_page_asks_first(doors: Doors) -> None:
    client = await doors.connect()
    asking = [f"origin: {PAGE}", "access-control-request-method: POST"]
    await client.send(request("/answers", b"", *asking, method="OPTIONS"))
    answer = await client.answer()
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, PAGE)
    assert doors.journals == []


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"POST /answers HTTP/1.1\r\nauthorization: Bearer secret\r\n\r\n", 400, "malformed_request"),
        (b"GET /?secret HTTP/1.1\r\nhost: x\r\nx-secret: " + b"secret" * 12_000, 431, "head_too_large"),
    ],
)
async def test_what_is_no_request_has_an_id_and_a_line_that_tells_nothing_of_it(
    doors: Doors, sent: bytes, status: int, code: str
) -> None:
    client = await doors.connect()
    client.writer.write(sent)
    answer = await client.answer()
    assert (answer.status, answer.json["error"]["code"]) == (status, code)
    assert await client.rest() == b""
    (journal,) = doors.journals
    assert answer.headers["x-request-id"] == journal.request_id
    assert (journal.status, journal.code, journal.total_ms) == (status, code, 0)
    assert "secret" not in repr(journal)
