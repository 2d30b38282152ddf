"""The process: how it starts, how it stops, and what it finds when it was killed."""

import asyncio
import signal
from pathlib import Path

import httpx
import pytest
from chat_client import Connect, ask, post, request_bytes, told
from gateway_process import GatewayProcess, Licence, eventually
from hostile import UPSTREAM_KEY, Hostile
from hostile_behaviours import ANSWER
from in_time import unhurried
from plain_http import HTTP


def prepared(make_gateway: object, more: str = "") -> GatewayProcess:
    assert callable(make_gateway)
    gateway: GatewayProcess = make_gateway(more)
    return gateway


async def asked(hostile: Hostile, licence: Licence, count: int) -> None:
    def all_there() -> bool:
        return len(hostile.seen(licence.marker)) == count

    await asyncio.to_thread(eventually, all_there, f"{count} requests at the upstream")


def stops(gateway: GatewayProcess) -> bool:
    return any(line["message"] == "stopping" for line in gateway.log())


def test_without_a_provider_it_says_how_to_add_one(tmp_path: Path) -> None:
    gateway = GatewayProcess(tmp_path, "", {})
    gateway.cli("init")
    try:
        gateway.start()
        (line,) = [line for line in gateway.log() if line["message"] == "no provider is configured"]
    finally:
        gateway.stop()
    assert line["models"] == "only the demo's"
    assert "OPENROUTER_API_KEY" in line["to_add_one"]


def test_it_is_ready_in_time_without_network(make_gateway: object, hostile: Hostile) -> None:
    """OpenRouter is configured and out of reach: what does not need it works, and what was known is known."""
    assert callable(make_gateway)
    gateway: GatewayProcess = make_gateway(
        "",
        OPENROUTER_API_KEY=UPSTREAM_KEY,
        OPENROUTER_BASE_URL=f"http://127.0.0.1:{hostile.port}/openrouter/v1",
    )
    gateway.start()
    licence = gateway.licence()
    forced = licence.headers | {"x-quantized-provider": "openrouter"}

    def listed() -> bool:
        return bool(HTTP.get(f"{gateway.url}/v1/models", headers=forced).json()["data"])

    eventually(listed, "the list has come")
    assert gateway.stop() in (0, -signal.SIGTERM)

    settings = gateway.room / "quantized.toml"
    offline = GatewayProcess(
        gateway.room,
        settings.read_text(),
        {"OPENROUTER_API_KEY": UPSTREAM_KEY, "OPENROUTER_BASE_URL": "http://127.0.0.1:9/v1"},
    )
    try:
        # The best of a few: the machine may be busy with other things.
        fastest = offline.start()
        assert HTTP.get(f"{offline.url}/ready").json() == {"status": "ready"}
        known = HTTP.get(f"{offline.url}/v1/models", headers=forced).json()["data"]
        assert {"listed/model", "listed/rich"} <= {entry["id"] for entry in known}
        body = ask("listed/model", licence)
        answer = HTTP.post(f"{offline.url}/v1/chat/completions", json=body, headers=forced)
        assert answer.status_code == 503
    finally:
        assert offline.stop() in (0, -signal.SIGTERM)
    for _ in range(5):
        if fastest < unhurried(1.5):
            break
        fastest = min(fastest, offline.start())
        offline.stop()
    assert fastest < unhurried(1.5)


async def test_a_stop_lets_streams_end_and_settles_the_others(
    make_gateway: object, hostile: Hostile, connect: Connect
) -> None:
    gateway = prepared(make_gateway, "shutdown_seconds = 3.0")
    gateway.start()
    licence = gateway.licence()
    ending = await connect(gateway)
    await ending.send(request_bytes(licence, ask("pauses-until-told", licence, stream=True)))
    await ending.until(b'"role"')
    lasting = [await connect(gateway) for _ in range(4)]
    for client, model in zip(lasting, ["ticks", "speaks-then-hangs", "hangs", "endless"], strict=True):
        await client.send(request_bytes(licence, ask(model, licence, stream=True)))
    await asked(hostile, licence, 5)
    stopping = asyncio.create_task(asyncio.to_thread(gateway.stop))
    await asyncio.to_thread(eventually, lambda: stops(gateway), "it stops")
    hostile.go_on(licence.marker)
    assert await stopping in (0, -signal.SIGTERM)
    assert b"data: [DONE]\n\n" in await ending.rest()
    books = gateway.settled(licence, 5)
    outcomes = sorted(usage["outcome"] for usage in books.usage)
    # Whose answer had not begun ("hangs") is charged nothing.
    assert outcomes == ["completed", "cut", "cut", "cut"]
    assert [hold["state"] for hold in books.holds].count("released") == 1
    for seen in hostile.seen(licence.marker):
        assert await asyncio.to_thread(seen.ended.wait, 25)


async def test_a_killed_process_leaves_holds_that_the_next_one_releases(
    make_gateway: object, hostile: Hostile, connect: Connect
) -> None:
    gateway = prepared(make_gateway, "[timeouts]\ntotal = 5.0")
    gateway.start()
    licence = gateway.licence()
    async with httpx.AsyncClient(base_url=gateway.url, timeout=50, verify=False) as client:
        paid = (await post(client, licence, ask("plain", licence))).json()["usage"]["credits_used"]
    for model in ("hangs", "speaks-then-hangs", "ticks"):
        client = await connect(gateway)
        await client.send(request_bytes(licence, ask(model, licence, stream=True)))
    await asked(hostile, licence, 4)
    await asyncio.to_thread(gateway.stop, signal.SIGKILL)
    books = gateway.books(licence)
    assert books.open_holds == 3
    assert books.licence["held"] > 0

    gateway.start()
    books = await asyncio.to_thread(gateway.settled, licence, 4)
    assert books.licence["used"] == paid
    released = [hold for hold in books.holds if hold["state"] == "released"]
    assert [hold["reason"] for hold in released] == ["process died"] * 3
    async with httpx.AsyncClient(base_url=gateway.url, timeout=50, verify=False) as client:
        answer = await post(client, licence, ask("plain", licence))
        assert answer.json()["usage"]["credits_remaining"] == 10_000_000 - 2 * paid

    def told() -> bool:
        lines = [line for line in gateway.log() if line["message"] == "a hold of a dead process was released"]
        assert len(lines) <= 3
        return {line["hold_id"] for line in lines} == {hold["id"] for hold in released}

    # The log may be a moment behind the books.
    await asyncio.to_thread(eventually, told, "a line in the log for each hold")
    assert gateway.stop() in (0, -signal.SIGTERM)


def test_a_port_that_is_taken_is_said_clearly(gateway: GatewayProcess, make_gateway: object) -> None:
    second = prepared(make_gateway)
    settings = second.room / "quantized.toml"
    settings.write_text(settings.read_text().replace("port = 0", f"port = {gateway.port}"))
    process = second.spawn()
    try:
        status = process.wait(50)
    finally:
        process.kill()
        process.wait()
    assert status != 0
    said = second.log_path.read_text()
    assert "address already in use" in said.lower()
    assert str(gateway.port) in said
    assert "Traceback" not in said


def test_settings_that_are_wrong_are_all_told_at_once(make_gateway: object) -> None:
    gateway = prepared(make_gateway)
    settings = gateway.room / "quantized.toml"
    settings.write_text(settings.read_text().replace("port = 0", 'port = "x"\nprot = 1'))
    process = gateway.spawn()
    assert process.wait(50) == 1
    said = gateway.log_path.read_text()
    assert "port" in said
    assert "prot" in said
    assert "Traceback" not in said


def test_a_database_that_was_never_made_is_said_clearly(make_gateway: object) -> None:
    gateway = prepared(make_gateway)
    gateway.database.unlink()
    process = gateway.spawn()
    assert process.wait(50) == 1
    said = gateway.log_path.read_text()
    assert "quantized" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_process_stops_at_once(make_gateway: object, how: signal.Signals) -> None:
    gateway = prepared(make_gateway, "shutdown_seconds = 600.0")
    gateway.start()
    with httpx.Client(base_url=gateway.url, verify=False, timeout=50) as client:
        assert client.get("/health").status_code == 200
        # A connection that is open and idle is not waited for as long as a request is.
        assert gateway.stop(how) in (0, -how)


async def test_a_stopped_process_has_told_every_answer_it_charged(
    make_gateway: object, hostile: Hostile
) -> None:
    """Requests that were under way when the signal came are answered whole, and charged once."""
    gateway = prepared(make_gateway)
    gateway.start()
    licence = gateway.licence()
    async with httpx.AsyncClient(base_url=gateway.url, timeout=50, verify=False) as client:
        posts = [
            asyncio.create_task(post(client, licence, ask("pauses-until-told", licence, stream=True)))
            for _ in range(10)
        ]
        await asked(hostile, licence, 10)
        stopping = asyncio.create_task(asyncio.to_thread(gateway.stop))
        await asyncio.to_thread(eventually, lambda: stops(gateway), "it stops")
        hostile.go_on(licence.marker)
        answers = await asyncio.gather(*posts)
        await stopping
    assert [told(answer.content).text for answer in answers] == [ANSWER] * 10
    assert gateway.settled(licence, 10).licence["used"] == 10 * 114
