"""Several worker processes: how they start, how one is replaced, how all of them stop."""

import asyncio
import os
import pickle
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest
from chat_client import Connect, ask, post, request_bytes, told
from gateway_process import GatewayProcess, Licence, eventually
from hostile import UPSTREAM_KEY, Hostile
from hostile_behaviours import ANSWER
from msgspec.structs import replace
from plain_http import HTTP

from quantized.listening import port_of, reserve, url_of
from quantized.settings import load
from quantized.supervisor import Supervisor

Gateways = Callable[..., GatewayProcess]


def workers_of(gateway: GatewayProcess) -> dict[int, int]:
    """The process of each worker that runs, by its number: the newest that said it had started."""
    found = {}
    for line in gateway.log():
        if line["message"] == "serving":
            found[line["worker"]] = line["pid"]
    return {number: pid for number, pid in found.items() if runs(pid)}


def runs(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def messages(gateway: GatewayProcess) -> list[str]:
    return [line["message"] for line in gateway.log()]


@pytest.fixture(scope="module")
def two(make_gateway: Gateways) -> Iterator[GatewayProcess]:
    gateway = make_gateway("workers = 2\nshutdown_seconds = 5.0")
    gateway.start()
    yield gateway
    assert gateway.stop() == 0


async def answers(gateway: GatewayProcess, licence: Licence, count: int) -> list[httpx.Response]:
    async with httpx.AsyncClient(base_url=gateway.url, timeout=50, verify=False) as client:
        return await asyncio.gather(*(post(client, licence, ask("plain", licence)) for _ in range(count)))


async def test_both_serve_and_the_log_names_them(two: GatewayProcess) -> None:
    licence = two.licence()
    both = await answers(two, licence, 40)
    assert {answer.status_code for answer in both} == {200}
    lines = two.lines_of(licence, 40)
    assert {line["worker"] for line in lines} == {1, 2} == workers_of(two).keys()
    listening = [line for line in two.log() if line["message"] == "listening"]
    assert [line["workers"] for line in listening] == [2]
    assert two.settled(licence, 40).licence["used"] == 40 * 114


async def test_a_worker_that_dies_is_replaced_and_the_other_serves_meanwhile(two: GatewayProcess) -> None:
    licence = two.licence()
    before = workers_of(two)
    os.kill(before[1], signal.SIGKILL)
    await asyncio.to_thread(eventually, lambda: not runs(before[1]), "it is gone")
    assert {answer.status_code for answer in await answers(two, licence, 10)} == {200}

    def replaced() -> bool:
        return workers_of(two).keys() == {1, 2} and workers_of(two)[1] != before[1]

    await asyncio.to_thread(eventually, replaced, "another has taken its place")
    died = [line for line in two.log() if line["message"] == "a worker died"]
    assert [(line["worker"], line["pid"], line["cause"]) for line in died] == [(1, before[1], "SIGKILL")]
    assert workers_of(two)[2] == before[2]
    assert {answer.status_code for answer in await answers(two, licence, 10)} == {200}


async def test_workers_do_not_outlive_their_supervisor(
    make_gateway: Gateways, hostile: Hostile, connect: Connect
) -> None:
    """They let requests end, as when they are told to stop."""
    gateway = make_gateway("workers = 2")
    gateway.start()
    licence = gateway.licence()
    client = await connect(gateway)
    await client.send(request_bytes(licence, ask("pauses-until-told", licence, stream=True)))
    await client.until(b'"role"')
    pids = workers_of(gateway).values()
    await asyncio.to_thread(gateway.stop, signal.SIGKILL)
    hostile.go_on(licence.marker)
    assert b"data: [DONE]\n\n" in await client.rest()
    await asyncio.to_thread(eventually, lambda: not any(map(runs, pids)), "the workers have ended")
    gateway.settled(licence)


async def test_a_stop_is_handed_on_and_all_requests_end(make_gateway: Gateways, hostile: Hostile) -> None:
    gateway = make_gateway("workers = 2")
    gateway.start()
    licence = gateway.licence()
    async with httpx.AsyncClient(base_url=gateway.url, timeout=50, verify=False) as client:
        posts = [
            asyncio.create_task(post(client, licence, ask("pauses-until-told", licence, stream=True)))
            for _ in range(16)
        ]
        await asyncio.to_thread(eventually, lambda: len(hostile.seen(licence.marker)) == 16)
        stopping = asyncio.create_task(asyncio.to_thread(gateway.stop))
        await asyncio.to_thread(eventually, lambda: messages(gateway).count("stopping") == 2, "both stop")
        hostile.go_on(licence.marker)
        both = await asyncio.gather(*posts)
        assert await stopping == 0
    assert [told(answer.content).text for answer in both] == [ANSWER] * 16
    assert gateway.settled(licence, 16).licence["used"] == 16 * 114
    assert messages(gateway).count("stopped") == 2


async def test_a_stop_while_a_worker_is_being_made_reaches_it_too(make_gateway: Gateways) -> None:
    gateway = make_gateway("workers = 2", QUANTIZED_DEMO="true", QUANTIZED_DEFAULT_PROVIDER="demo")
    with reserve("127.0.0.1", 0) as address:
        settings = replace(load(gateway.environ), port=port_of(address))
        supervisor = Supervisor(settings, 1, url_of(address))
        before = children()
        running = asyncio.create_task(supervisor.run())
        while not children() - before:  # noqa: ASYNC110  its very moment is what is meant
            await asyncio.sleep(0)
        supervisor.stop()
        async with asyncio.timeout(50):
            await running
    assert children() <= before


def children() -> set[str]:
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def test_a_worker_that_cannot_start_ends_them_all(make_gateway: Gateways, hostile: Hostile) -> None:
    gateway = make_gateway(
        "workers = 3",
        OPENROUTER_API_KEY=UPSTREAM_KEY,
        OPENROUTER_BASE_URL=f"http://127.0.0.1:{hostile.port}/openrouter/v1",
    )
    with closing(sqlite3.connect(gateway.database)) as database:
        database.execute("DROP TABLE catalog_model")
    process = gateway.spawn()
    assert process.wait(100) == 1
    said = gateway.log_path.read_text()
    assert "no such table: catalog_model" in said
    assert "could not start: exit status 3" in said.splitlines()[-1]


def test_an_address_that_workers_share_is_nobody_elses(make_gateway: Gateways) -> None:
    gateway = make_gateway("workers = 2")
    gateway.start()
    try:
        for workers in (1, 2):
            other = make_gateway(f"workers = {workers}")
            settings = other.room / "quantized.toml"
            settings.write_text(settings.read_text().replace("port = 0", f"port = {gateway.port}"))
            assert other.spawn().wait(100) == 1
            said = other.log_path.read_text()
            assert "address already in use" in said.lower()
            assert "Traceback" not in said
    finally:
        assert gateway.stop() == 0


def test_a_worker_that_nobody_hears_any_more_serves_and_ends_in_order(make_gateway: Gateways) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    gateway = make_gateway("workers = 2", QUANTIZED_PORT=str(port))
    line, theirs = socket.socketpair()
    with theirs, gateway.log_path.open("ab") as log:
        worker = subprocess.Popen(
            [sys.executable, "-P", "-m", "quantized.worker", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=gateway.environ,
            cwd=gateway.room,
            stdout=log,
            stderr=log,
        )
    # It will not be heard when it says that it serves.
    line.shutdown(socket.SHUT_RD)
    line.sendall(pickle.dumps((load(gateway.environ), 1)))
    try:
        eventually(lambda: answers_or_has_ended(worker, f"http://127.0.0.1:{port}/health"), "it serves", 100)
        line.close()
        assert worker.wait(100) == 0
    finally:
        worker.kill()
        worker.wait()
    assert "Traceback" not in gateway.log_path.read_text(), gateway.log_path.read_text()


def answers_or_has_ended(process: subprocess.Popen[bytes], url: str) -> bool:
    with suppress(httpx.ConnectError):
        return HTTP.get(url).status_code == 200
    return process.poll() is not None
