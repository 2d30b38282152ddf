"""The refresh against a real database and a real server that is down, slow, garbled or shrinking."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from quantized.catalog.catalog import Catalog
from quantized.catalog.model import Model
from quantized.catalog.refresh import ModelSource, Refresher, Way
from quantized.core.errors import LedgerUnavailable
from quantized.core.ports import Terms
from quantized.providers.openrouter_models import parse_model
from quantized.storage.catalog_rows import CatalogRows
from quantized.storage.migrate import migrate

_TERMS = Terms("t")
_LIST = (Path(__file__).parent / "openrouter_models.json").read_bytes()


def _list_of(*ids: str, prompt: str = "0.000001") -> bytes:
    rows = [{"id": name, "pricing": {"prompt": prompt, "completion": "0.000002"}} for name in ids]
    return json.dumps({"data": rows}).encode()


class _Clock:
    def now_ms(self) -> int:
        return 1_780_000_000_000

    def monotonic(self) -> float:
        return 0.0


class _Server:
    """Answers each request with `body` and `status`, or keeps silent, or hangs up."""

    def __init__(self) -> None:
        self.body = _LIST
        self.status = "200 OK"
        self.manner = "answer"
        self.heads: list[str] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head.decode())
            if self.manner == "silence":
                await reader.read()
            elif self.manner == "answer":
                head_out = (
                    f"HTTP/1.1 {self.status}\r\ncontent-length: {len(self.body)}\r\nconnection: close\r\n\r\n"
                )
                writer.write(head_out.encode() + self.body)
                await writer.drain()
            elif self.manner == "cut":
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n" + self.body[:50])
                await writer.drain()


@pytest.fixture
async def server() -> AsyncIterator[_Server]:
    running = _Server()
    await running.start()
    yield running
    await running.stop()


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("catalog") / "empty.db"
    migrate(f"sqlite:///{path}")
    return path.read_bytes()


@pytest.fixture
def rows(tmp_path: Path, empty_database: bytes) -> Iterator[CatalogRows]:
    path = tmp_path / "catalog.db"
    path.write_bytes(empty_database)
    with contextlib.closing(CatalogRows(f"sqlite:///{path}")) as rows:
        yield rows


def _refresher(server: _Server, rows: Any, catalog: Catalog, **limits: Any) -> Refresher:
    source = ModelSource(
        provider="router",
        url=f"http://127.0.0.1:{server.port}/api/v1/models",
        headers=(("authorization", "Bearer sk-upstream"),),
        parse=partial(parse_model, provider="router", micro_credits_per_usd=1_000_000),
    )
    settings: dict[str, Any] = {"interval": 0.02, "timeout": 5.0, "first_retry": 0.01, **limits}
    return Refresher(catalog, [source], rows, _Clock(), **settings)


@contextlib.asynccontextmanager
async def _running(refresher: Refresher) -> AsyncIterator[None]:
    task = asyncio.create_task(refresher.run())
    try:
        yield
        assert not task.done(), "a refresher runs until it is cancelled"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(50):
        while not condition():  # noqa: ASYNC110 - many conditions, none of which tells when it comes true
            await asyncio.sleep(0.005)


def _ids(catalog: Catalog) -> list[str]:
    return [offer.model.id for offer in catalog.offers(_TERMS, "router")]


async def _seen_again(server: _Server, times: int = 2) -> None:
    """Waits until requests that began after now have been answered."""
    seen = len(server.heads)
    await _until(lambda: len(server.heads) >= seen + times)


async def test_a_fresh_list_fills_the_catalogue_and_is_kept(
    server: _Server, rows: CatalogRows, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    catalog = Catalog()
    async with _running(_refresher(server, rows, catalog, interval=3_600.0)):
        await _until(lambda: len(_ids(catalog)) == 25)
        assert catalog.unpriced("router", "openrouter/auto", _TERMS)
        assert "GET /api/v1/models HTTP/1.1" in server.heads[0]
        assert "authorization: bearer sk-upstream" in server.heads[0].lower()
        await _until(lambda: "28 models of router are kept" in caplog.text)
    assert len(await rows.load("router")) == 28


async def test_a_start_without_the_network_has_the_list_kept_last(server: _Server, rows: CatalogRows) -> None:
    first = Catalog()
    async with _running(_refresher(server, rows, first)):
        await _until(lambda: bool(_ids(first)))
        await _seen_again(server)
    await server.stop()

    second = Catalog()
    refresher = _refresher(server, rows, second)
    await refresher.restore()
    assert _ids(second) == _ids(first)
    offer = second.find("router", "anthropic/claude-sonnet-4.5", _TERMS)
    assert offer == first.find("router", "anthropic/claude-sonnet-4.5", _TERMS)


async def test_a_first_start_without_the_network_is_empty_until_it_comes(
    server: _Server, rows: CatalogRows, caplog: pytest.LogCaptureFixture
) -> None:
    await server.stop()
    catalog = Catalog()
    refresher = _refresher(server, rows, catalog)
    await refresher.restore()
    assert _ids(catalog) == []
    async with _running(refresher):
        await _until(lambda: "stay as they are" in caplog.text)
        assert _ids(catalog) == []
        await server.start()
        await _until(lambda: len(_ids(catalog)) == 25)


async def test_a_list_that_shrinks_or_changes_its_prices_is_followed(
    server: _Server, rows: CatalogRows
) -> None:
    catalog = Catalog()
    server.body = _list_of("a/one", "a/two", "a/three")
    async with _running(_refresher(server, rows, catalog)):
        await _until(lambda: _ids(catalog) == ["a/one", "a/two", "a/three"])
        server.body = _list_of("a/two", prompt="0.000005")
        await _until(lambda: _ids(catalog) == ["a/two"])
        offer = catalog.find("router", "a/two", _TERMS)
        assert offer is not None
        assert offer.rates.input == 5_000_000
        await _seen_again(server)
    assert len(await rows.load("router")) == 1


_NOISE = b'{"id":"","pricing":{}}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>maintenance</html>",
        b'{"data":[]}',
        b'{"data":null}',
        b'{"error":{"message":"no"}}',
        _LIST[:2_000],
        b'{"data":[' + _NOISE + b"]}",
        b'{"data":[{"id":"a/new","pricing":{}},' + _NOISE + b"," + _NOISE + b"]}",
        b"[" * 100_000,
        b'{"data":[' + b"[" * 100_000,
        b"\xff\xfe",
    ],
    ids=[
        "nothing",
        "a page",
        "an empty list",
        "no list",
        "an error",
        "half a list",
        "a list of noise",
        "a list mostly of noise",
        "a pit",
        "a pit in a list",
        "not text",
    ],
)
async def test_garbage_never_replaces_a_good_list(server: _Server, rows: CatalogRows, body: bytes) -> None:
    catalog = Catalog()
    server.body = _list_of("a/good")
    async with _running(_refresher(server, rows, catalog)):
        await _until(lambda: _ids(catalog) == ["a/good"])
        server.body = body
        await _seen_again(server, 3)
        assert _ids(catalog) == ["a/good"]
        server.body = _list_of("a/better")
        await _until(lambda: _ids(catalog) == ["a/better"])
    kept = [json.loads(row)["id"] for row in await rows.load("router")]
    assert kept in (["a/good"], ["a/better"])


@pytest.mark.parametrize("status", ["500 Internal Server Error", "401 Unauthorized", "204 No Content"])
async def test_only_a_200_counts(server: _Server, rows: CatalogRows, status: str) -> None:
    catalog = Catalog()
    server.body = _list_of("a/good")
    async with _running(_refresher(server, rows, catalog)):
        await _until(lambda: _ids(catalog) == ["a/good"])
        server.body, server.status = _list_of("a/bad"), status
        await _seen_again(server, 3)
        assert _ids(catalog) == ["a/good"]


@pytest.mark.parametrize("manner", ["silence", "hang up", "cut"])
async def test_a_server_that_does_not_answer_changes_nothing(
    server: _Server, rows: CatalogRows, manner: str
) -> None:
    catalog = Catalog()
    server.body = _list_of("a/good")
    async with _running(_refresher(server, rows, catalog, timeout=0.2)):
        await _until(lambda: _ids(catalog) == ["a/good"])
        server.manner = manner
        await _seen_again(server, 2)
        assert _ids(catalog) == ["a/good"]
        server.manner, server.body = "answer", _list_of("a/back")
        await _until(lambda: _ids(catalog) == ["a/back"])


async def test_a_list_beyond_all_measure_is_not_read_to_its_end(
    server: _Server, rows: CatalogRows, caplog: pytest.LogCaptureFixture
) -> None:
    catalog = Catalog()
    async with _running(_refresher(server, rows, catalog, largest_list=1_000)):
        await _until(lambda: "longer than 1000 bytes" in caplog.text)
        assert _ids(catalog) == []


async def test_single_rows_of_noise_and_repeated_ids_are_passed_over(
    server: _Server, rows: CatalogRows, caplog: pytest.LogCaptureFixture
) -> None:
    good = json.loads(_list_of("a/one", "a/two", "a/one"))["data"]
    good[2]["pricing"]["prompt"] = "0.5"
    server.body = json.dumps({"data": [*good, {"name": "nameless"}]}).encode()
    catalog = Catalog()
    async with _running(_refresher(server, rows, catalog)):
        await _until(lambda: _ids(catalog) == ["a/one", "a/two"])
        await _seen_again(server)
    offer = catalog.find("router", "a/one", _TERMS)
    assert offer is not None
    assert offer.rates.input == 1_000_000
    assert "1 rows of router are no models" in caplog.text
    assert len(await rows.load("router")) == 2


async def test_stored_rows_that_nobody_understands_are_left_alone(
    server: _Server, rows: CatalogRows, caplog: pytest.LogCaptureFixture
) -> None:
    await rows.replace("router", [("a/m", b"{}")], 0)
    catalog = Catalog()
    await _refresher(server, rows, catalog).restore()
    assert _ids(catalog) == []
    assert "cannot be used" in caplog.text


class _FullDisk:
    """A database that takes nothing."""

    async def load(self, provider: str) -> list[bytes]:
        raise LedgerUnavailable(cause="gone")

    async def fetched_at(self, provider: str) -> int | None:
        raise LedgerUnavailable(cause="gone")

    async def replace(self, provider: str, rows: Any, fetched_at: int) -> None:
        raise LedgerUnavailable(cause="disk full")


async def test_a_list_that_cannot_be_kept_is_used_all_the_same(
    server: _Server, caplog: pytest.LogCaptureFixture
) -> None:
    catalog = Catalog()
    refresher = _refresher(server, _FullDisk(), catalog)
    with pytest.raises(LedgerUnavailable):
        await refresher.restore()
    async with _running(refresher):
        await _until(lambda: len(_ids(catalog)) == 25)
        await _until(lambda: "disk full" in caplog.text)


async def test_a_list_that_another_gateway_has_kept_is_taken_over(server: _Server, rows: CatalogRows) -> None:
    catalog = Catalog()
    server.body = _list_of("a/m")
    async with _running(_refresher(server, rows, catalog, interval=60, look=0.02)):
        await _until(lambda: _ids(catalog) == ["a/m"])
        # It is shown before it is kept, and what it keeps must not come after what the other one does.
        async with asyncio.timeout(50):
            while await rows.fetched_at("router") is None:  # noqa: ASYNC110 - a row tells nobody that it is there
                await asyncio.sleep(0.005)
        (row,) = json.loads(_list_of("b/m", prompt="0.000003"))["data"]
        await rows.replace("router", [("b/m", json.dumps(row).encode())], 1)
        await _until(lambda: _ids(catalog) == ["b/m"])
    offer = catalog.find("router", "b/m", _TERMS)
    assert offer is not None
    assert offer.rates.input == 3_000_000
    assert len(server.heads) == 1


async def test_a_list_that_was_not_kept_is_not_lost_to_the_one_before_it(
    server: _Server, rows: CatalogRows
) -> None:
    (row,) = json.loads(_list_of("old/m"))["data"]
    await rows.replace("router", [("old/m", json.dumps(row).encode())], 1)
    looked = 0

    class Keeping:
        async def load(self, provider: str) -> list[bytes]:
            return await rows.load(provider)

        async def fetched_at(self, provider: str) -> int | None:
            nonlocal looked
            looked += 1
            return await rows.fetched_at(provider)

        async def replace(self, provider: str, rows: Any, fetched_at: int) -> None:
            raise LedgerUnavailable(cause="disk full")

    catalog = Catalog()
    server.body = _list_of("new/m")
    refresher = _refresher(server, Keeping(), catalog, interval=60, look=0.01)
    await refresher.restore()
    assert _ids(catalog) == ["old/m"]
    async with _running(refresher):
        await _until(lambda: _ids(catalog) == ["new/m"])
        seen = looked
        await _until(lambda: looked > seen + 3)
        assert _ids(catalog) == ["new/m"]


async def test_one_providers_trouble_is_not_anothers(server: _Server, rows: CatalogRows) -> None:
    catalog = Catalog()

    def parse(row: bytes, provider: str) -> Model:
        return parse_model(row, provider=provider, micro_credits_per_usd=1_000_000)

    sources = [
        ModelSource("down", "http://127.0.0.1:1/models", (), partial(parse, provider="down")),
        ModelSource("up", f"http://127.0.0.1:{server.port}/models", (), partial(parse, provider="up")),
    ]
    server.body = _list_of("a/m")
    refresher = Refresher(catalog, sources, rows, _Clock(), interval=0.02, timeout=5.0, first_retry=0.01)
    async with _running(refresher):
        await _until(lambda: catalog.find("up", "a/m", _TERMS) is not None)
        assert catalog.find("down", "a/m", _TERMS) is None


async def test_the_secret_of_a_source_is_not_logged(
    server: _Server, rows: CatalogRows, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await server.stop()
    async with _running(_refresher(server, rows, Catalog())):
        await _until(lambda: "stay as they are" in caplog.text)
    assert "sk-upstream" not in caplog.text


async def test_without_sources_there_is_nothing_to_do(rows: CatalogRows) -> None:
    refresher = Refresher(Catalog(), [], rows, _Clock())
    await refresher.restore()
    await refresher.run()


async def test_the_way_may_lead_through_a_proxy(server: _Server, rows: CatalogRows) -> None:
    """The server is the proxy: what it is asked for is a whole URL, of a host that nobody could find."""
    url = "http://lists.invalid/api/v1/models"
    source = ModelSource("router", url, (), partial(parse_model, provider="router", micro_credits_per_usd=1))
    catalog = Catalog()
    way = Way(f"http://127.0.0.1:{server.port}", ("campus.invalid",))
    async with _running(Refresher(catalog, [source], rows, _Clock(), way=way)):
        await _until(lambda: bool(_ids(catalog)))
    assert server.heads[0].startswith(f"GET {url} HTTP/1.1\r\n")


async def test_some_hosts_are_reached_past_the_proxy(server: _Server, rows: CatalogRows) -> None:
    catalog = Catalog()
    way = Way("http://127.0.0.1:9", ("127.0.0.1",))
    async with _running(_refresher(server, rows, catalog, way=way)):
        await _until(lambda: bool(_ids(catalog)))
