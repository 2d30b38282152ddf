"""The nginx of deploy/compose in front of two gateways on one database."""

import asyncio
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from chat_client import ask, post, told
from gateway_process import GatewayProcess, eventually
from hostile import Hostile
from hostile_behaviours import ANSWER
from postgres_server import free_port

Gateways = Callable[..., GatewayProcess]
CONFIGURATION = Path(__file__).parents[2] / "deploy/compose/nginx.conf"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/bin")

pytestmark = pytest.mark.skipif(NGINX is None, reason="needs nginx on the machine")


@pytest.fixture(scope="module")
def two(make_gateway: Gateways) -> Iterator[list[GatewayProcess]]:
    """Two gateways, of which the second has no database of its own."""
    first, second = make_gateway("shutdown_seconds = 5.0"), make_gateway()
    settings = (first.room / "quantized.toml").read_text()
    environ = {"QUANTIZED_DATABASE_URL": f"sqlite:///{first.database}"}
    second = GatewayProcess(second.room, settings, environ)
    gateways = [first, second]
    for gateway in gateways:
        gateway.start()
    yield gateways
    for gateway in gateways:
        if gateway.process is not None and gateway.process.poll() is None:
            assert gateway.stop() == 0


@pytest.fixture(scope="module")
def proxy(two: list[GatewayProcess], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its URL. The configuration as it stands, but for addresses and folders."""
    folder = tmp_path_factory.mktemp("nginx")
    port = free_port()
    text = CONFIGURATION.read_text().replace("/tmp/", f"{folder}/").replace("listen 8080", f"listen {port}")
    # What only a newer nginx knows, and a network that only Docker has.
    text = re.sub(r"\n *resolver .*", "", text).replace(" resolve;", ";")
    for name, gateway in zip(("gateway-a:8080", "gateway-b:8080"), two, strict=True):
        text = text.replace(name, f"127.0.0.1:{gateway.port}")
    # A master that is root would give its workers to a user who may not enter the temporary folder.
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(user + re.sub("worker_processes auto", "worker_processes 1", text))
    process = subprocess.Popen(
        [str(NGINX), "-g", "daemon off;", "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"]
    )

    def listens() -> bool:
        with closing(socket.socket()) as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    eventually(listens, "nginx listens")
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(50)


async def test_streams_leave_as_they_come_and_both_gateways_serve(
    two: list[GatewayProcess], proxy: str
) -> None:
    licence = two[0].licence()
    async with httpx.AsyncClient(base_url=proxy, timeout=50, verify=False) as client:
        body = ask("pauses", licence, stream=True)
        url = "/v1/chat/completions"
        async with client.stream("POST", url, json=body, headers=licence.headers) as answer:
            pieces = [piece async for piece in answer.aiter_raw()]
        assert len(pieces) > 1
        assert b"[DONE]" not in pieces[0]
        assert told(b"".join(pieces)).text == ANSWER
        plain = await asyncio.gather(*(post(client, licence, ask("plain", licence)) for _ in range(20)))
    assert {answer.status_code for answer in plain} == {200}

    def served() -> list[int] | None:
        counts = [
            sum(
                line["message"] == "request" and line.get("license_id") == licence.id
                for line in gateway.log()
            )
            for gateway in two
        ]
        assert sum(counts) <= 21
        return counts if sum(counts) == 21 else None

    # The log may be a moment behind the answers.
    counts: list[int] = await asyncio.to_thread(eventually, served, "a line in the log for each request")
    assert min(counts) > 0
    assert two[0].settled(licence, 21).licence["used"] == 21 * 114


async def test_what_nginx_says_itself_it_says_as_the_api_does(two: list[GatewayProcess], proxy: str) -> None:
    licence = two[0].licence()
    async with httpx.AsyncClient(base_url=proxy, timeout=50, verify=False, headers=licence.headers) as client:
        told = []
        for size in (32 * 2**20 + 1, 33 * 2**20 + 1):
            answer = await client.post("/v1/chat/completions", content=b" " * size)
            assert (answer.status_code, answer.headers["content-type"]) == (413, "application/json")
            told.append(answer.json()["error"])
    by_gateway, by_nginx = told
    assert by_gateway.pop("message").startswith(by_nginx.pop("message"))
    assert by_gateway == by_nginx


async def test_while_one_gateway_is_stopped_nobody_is_refused_and_nothing_is_asked_twice(
    two: list[GatewayProcess], proxy: str, hostile: Hostile
) -> None:
    licence = two[0].licence("100")
    answers: list[httpx.Response] = []
    stopped = asyncio.Event()

    async def ask_on(client: httpx.AsyncClient) -> None:
        while not stopped.is_set():
            answers.append(await post(client, licence, ask("plain", licence)))

    async with httpx.AsyncClient(base_url=proxy, timeout=50, verify=False) as client:
        asking = [asyncio.create_task(ask_on(client)) for _ in range(8)]
        await asyncio.to_thread(eventually, lambda: len(answers) > 20)
        status = await asyncio.to_thread(two[1].stop)
        so_far = len(answers)
        await asyncio.to_thread(eventually, lambda: len(answers) > so_far + 20)
        stopped.set()
        await asyncio.gather(*asking)
    assert status == 0
    assert {answer.status_code for answer in answers} == {200}
    assert len(hostile.seen(licence.marker)) == len(answers)
    books = two[0].settled(licence, len(answers))
    assert books.licence["used"] == len(answers) * 114


async def test_where_no_gateway_is_there_it_is_a_503_of_the_apis(
    two: list[GatewayProcess], proxy: str
) -> None:
    """The last: nobody starts them again."""
    for gateway in two:
        if gateway.process is not None and gateway.process.poll() is None:
            await asyncio.to_thread(gateway.stop)
    answer = await asyncio.to_thread(httpx.post, f"{proxy}/v1/chat/completions", json={})
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "service_unavailable"
