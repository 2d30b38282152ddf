"""Credentials from where AWS users keep them, and their renewal."""

import asyncio
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from quantized.clock import SystemClock
from quantized.core.errors import ProviderUnavailable
from quantized.providers.bedrock.chain import BotocoreChain
from quantized.providers.bedrock.credentials import AwsCredentials, CredentialKeeper, NoCredentials, Pace

KEYS = {"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "s1"}


@pytest.fixture(autouse=True)
def nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("BOTO_CONFIG", str(tmp_path / "boto"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def put(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


# Where they are found.


def test_none_anywhere() -> None:
    with pytest.raises(NoCredentials, match="none in the environment"):
        BotocoreChain()()


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, **KEYS)
    assert BotocoreChain()() == AwsCredentials("AKIA1", "s1", None, None, "env")
    put(monkeypatch, AWS_SESSION_TOKEN="t1", AWS_CREDENTIAL_EXPIRATION="2099-01-01T00:00:00Z")
    assert BotocoreChain()() == AwsCredentials("AKIA1", "s1", "t1", 4_070_908_800_000, "env")


def test_half_of_the_environment_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, AWS_ACCESS_KEY_ID="AKIA1")
    with pytest.raises(NoCredentials, match="Partial credentials"):
        BotocoreChain()()


def test_expired_credentials_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, **KEYS, AWS_CREDENTIAL_EXPIRATION="2020-01-01T00:00:00Z")
    with pytest.raises(NoCredentials, match="expired"):
        BotocoreChain()()


def test_profiles_of_the_shared_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id=AKIA2\naws_secret_access_key=s2\n"
        "[other]\naws_access_key_id=AKIA3\naws_secret_access_key=s3\naws_session_token=t3\n"
    )
    (tmp_path / "config").write_text("[profile third]\naws_access_key_id=AKIA4\naws_secret_access_key=s4\n")
    assert BotocoreChain()().access_key == "AKIA2"
    assert BotocoreChain("other")() == AwsCredentials("AKIA3", "s3", "t3", None, "shared-credentials-file")
    put(monkeypatch, AWS_PROFILE="third")
    assert BotocoreChain()().access_key == "AKIA4"
    put(monkeypatch, AWS_PROFILE="nobody")
    with pytest.raises(NoCredentials, match="nobody"):
        BotocoreChain()()


def test_a_file_that_has_changed_is_read_again(tmp_path: Path) -> None:
    chain = BotocoreChain()
    for key in ("AKIA5", "AKIA6"):
        (tmp_path / "credentials").write_text(
            f"[default]\naws_access_key_id={key}\naws_secret_access_key=s\n"
        )
        assert chain().access_key == key


def test_a_process(tmp_path: Path) -> None:
    told = {
        "Version": 1,
        "AccessKeyId": "ASIA7",
        "SecretAccessKey": "s7",
        "SessionToken": "t7",
        "Expiration": "2099-01-01T00:00:00Z",
    }
    script = tmp_path / "process.py"
    script.write_text(f"print('''{json.dumps(told)}''')")
    (tmp_path / "config").write_text(f"[default]\ncredential_process = {sys.executable} {script}\n")
    assert BotocoreChain()() == AwsCredentials("ASIA7", "s7", "t7", 4_070_908_800_000, "custom-process")
    script.write_text("raise SystemExit('the vault is closed')")
    with pytest.raises(NoCredentials, match="the vault is closed"):
        BotocoreChain()()


def test_a_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[default\nnonsense")
    with pytest.raises(NoCredentials, match="ConfigParseError"):
        BotocoreChain()()


class Metadata:
    """Plays the metadata service of an instance and of a container."""

    def __init__(self) -> None:
        self.role: dict[str, str] | None = None
        self.asked: list[str] = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                self.answer(b"imds-token")

            def do_GET(self) -> None:
                owner.asked.append(self.path)
                if owner.role is None:
                    self.answer(b"", 404)
                elif self.path.endswith("/security-credentials/"):
                    assert self.headers["x-aws-ec2-metadata-token"] == "imds-token"
                    self.answer(b"the-role")
                else:
                    self.answer(json.dumps(owner.role).encode())

            def answer(self, body: bytes, status: int = 200) -> None:
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def grant(self, key: str, life: timedelta) -> int:
        """Returns the time of the end, in Unix milliseconds."""
        end = (datetime.now(UTC) + life).replace(microsecond=0)
        self.role = {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "AccessKeyId": key,
            "SecretAccessKey": "s",
            "Token": "t",
            "Expiration": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "LastUpdated": "2026-01-01T00:00:00Z",
        }
        return round(end.timestamp() * 1000)


@pytest.fixture
def metadata() -> Iterator[Metadata]:
    service = Metadata()
    thread = threading.Thread(target=service.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield service
    service.server.shutdown()
    service.server.server_close()
    thread.join()


@pytest.fixture
def instance(metadata: Metadata, monkeypatch: pytest.MonkeyPatch) -> Metadata:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    put(monkeypatch, AWS_EC2_METADATA_SERVICE_ENDPOINT=metadata.url)
    return metadata


def test_the_role_of_an_instance(instance: Metadata) -> None:
    with pytest.raises(NoCredentials):
        BotocoreChain()()
    end = instance.grant("ASIA8", timedelta(hours=6))
    assert BotocoreChain()() == AwsCredentials("ASIA8", "s", "t", end, "iam-role")


def test_the_role_of_a_container(metadata: Metadata, monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{metadata.url}/v2/credentials/id")
    end = metadata.grant("ASIA9", timedelta(hours=1))
    assert BotocoreChain()() == AwsCredentials("ASIA9", "s", "t", end, "container-role")
    assert metadata.asked == ["/v2/credentials/id"]


def test_secrets_are_not_shown() -> None:
    shown = repr(AwsCredentials("AKIA1", "very-secret", "very-token", 1, "env"))
    assert "AKIA1" in shown
    assert "very" not in shown


def test_botocore_does_not_log_what_it_is_told(instance: Metadata, caplog: pytest.LogCaptureFixture) -> None:
    instance.grant("ASIA8", timedelta(hours=6))
    with caplog.at_level("DEBUG"):
        BotocoreChain()()
    assert [record for record in caplog.records if record.name.startswith("botocore")] == []


# How they are kept.

QUICK = Pace(ahead=900, lasting=0.005, shortest=0.001, longest=0.004)


class Source:
    """Gives what a test tells it, and counts."""

    def __init__(self, *answers: AwsCredentials | str) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self) -> AwsCredentials:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, str):
            raise NoCredentials(answer)
        return answer


@asynccontextmanager
async def running(keeper: CredentialKeeper):
    task = asyncio.create_task(keeper.run())
    yield
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(50):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.002)


def now() -> int:
    return SystemClock().now_ms()


LASTING = AwsCredentials("AKIA1", "s1")


async def test_nothing_before_the_first_look() -> None:
    keeper = CredentialKeeper(Source(LASTING), SystemClock(), QUICK)
    with pytest.raises(ProviderUnavailable) as fault:
        keeper.current(now())
    assert fault.value.alert
    assert "still" in fault.value.cause
    async with running(keeper):
        assert await keeper.looked(10)
        assert keeper.current(now()) is LASTING


async def test_a_look_that_takes_long_delays_nobody() -> None:
    allowed = threading.Event()

    def slow() -> AwsCredentials:
        allowed.wait(50)
        return LASTING

    keeper = CredentialKeeper(slow, SystemClock(), QUICK)
    async with running(keeper):
        assert not await keeper.looked(0.01)
        allowed.set()
        assert await keeper.looked(10)
        assert keeper.current(now()) == LASTING


async def test_a_look_under_way_does_not_hold_up_the_end() -> None:
    allowed = threading.Event()

    def slow() -> AwsCredentials:
        allowed.wait(50)
        return LASTING

    async with running(CredentialKeeper(slow, SystemClock(), QUICK)):
        await asyncio.sleep(0)
    allowed.set()
    threads = [thread for thread in threading.enumerate() if thread.name == "aws-credentials"]
    assert all(thread.daemon for thread in threads)
    for thread in threads:
        thread.join(50)
    await asyncio.sleep(0)  # what the thread has told the loop is for nobody


async def test_what_lasts_is_looked_for_again_and_stays_the_same_object() -> None:
    same = AwsCredentials("AKIA1", "s1")
    source = Source(LASTING, same)
    keeper = CredentialKeeper(source, SystemClock(), QUICK)
    async with running(keeper):
        await eventually(lambda: source.asked > 2)
        assert keeper.current(now()) is LASTING
        source.answers.append(AwsCredentials("AKIA2", "s2"))
        await eventually(lambda: keeper.current(now()).access_key == "AKIA2")


async def test_failures_are_tried_again_and_what_there_is_stays(caplog: pytest.LogCaptureFixture) -> None:
    source = Source("no route", "no route", LASTING, "no route")
    keeper = CredentialKeeper(source, SystemClock(), QUICK)
    async with running(keeper):
        assert await keeper.looked(10)
        await eventually(lambda: source.asked > 6)
        assert keeper.current(now()) is LASTING
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told.count(("ERROR", "there are no AWS credentials")) == 2
    assert told.count(("WARNING", "AWS credentials could not be renewed")) > 1
    assert {getattr(record, "cause", "no route") for record in caplog.records} == {"no route"}


async def test_a_failure_is_the_cause_that_the_log_reads() -> None:
    keeper = CredentialKeeper(Source("the vault is closed"), SystemClock(), QUICK)
    async with running(keeper):
        assert await keeper.looked(10)
        with pytest.raises(ProviderUnavailable) as fault:
            keeper.current(now())
    assert (fault.value.alert, fault.value.cause) == (True, "the vault is closed")
    assert "vault" not in fault.value.message


async def test_the_expired_are_not_used() -> None:
    end = now() + 60_000
    source = Source(AwsCredentials("ASIA1", "s", "t", end), "the vault is closed")
    keeper = CredentialKeeper(source, SystemClock(), Pace(ahead=100_000, shortest=0.001, longest=0.001))
    async with running(keeper):
        assert await keeper.looked(10)
        assert keeper.current(end - 1).access_key == "ASIA1"
        with pytest.raises(ProviderUnavailable, match="unavailable") as fault:
            keeper.current(end)
    assert "expired" in fault.value.cause


async def test_one_look_at_a_time() -> None:
    looking = 0
    most = 0
    count = 0

    def look() -> AwsCredentials:
        nonlocal looking, most, count
        looking += 1
        count += 1
        most = max(most, looking)
        looking -= 1
        return LASTING

    async with running(CredentialKeeper(look, SystemClock(), Pace(lasting=0))):
        await eventually(lambda: count > 20)
    assert most == 1


async def test_a_role_is_renewed_before_its_end(metadata: Metadata, monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, AWS_CONTAINER_CREDENTIALS_FULL_URI=metadata.url)
    first_end = metadata.grant("ASIA1", timedelta(seconds=4))
    keeper = CredentialKeeper(BotocoreChain(), SystemClock(), Pace(shortest=0.05))
    async with running(keeper):
        assert await keeper.looked(10)
        assert keeper.current(now()).access_key == "ASIA1"
        metadata.grant("ASIA2", timedelta(hours=1))
        await eventually(lambda: keeper.current(now()).access_key == "ASIA2")
        assert now() < first_end


def test_the_wait_before_a_renewal() -> None:
    pace = Pace(ahead=900, lasting=300, shortest=1, longest=60)
    assert pace.after_success(None) == 300
    assert pace.after_success(6 * 3600) == 6 * 3600 - 900
    assert pace.after_success(900) == 450
    assert pace.after_success(60) == 30
    assert pace.after_success(0.5) == pace.after_success(-5) == 1
    assert [pace.after_failures(count) for count in (1, 2, 3, 7, 10_000)] == [1, 2, 4, 60, 60]


# Where AWS's token services are asked.


def test_roles_are_assumed_in_the_configured_region_through_the_proxy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            asked.append(self.path)
            self.send_error(403)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    serving = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    serving.start()
    (tmp_path / "config").write_text(
        "[default]\nrole_arn = arn:aws:iam::123456789012:role/R\nsource_profile = source\n"
        "[profile source]\naws_access_key_id = AKIA1\naws_secret_access_key = s1\n"
    )
    put(monkeypatch, AWS_MAX_ATTEMPTS="1", AWS_STS_REGIONAL_ENDPOINTS="regional")
    with pytest.raises(NoCredentials):
        BotocoreChain(None, f"http://127.0.0.1:{server.server_port}", "eu-central-1")()
    server.shutdown()
    server.server_close()
    assert set(asked) == {"sts.eu-central-1.amazonaws.com:443"}


async def test_a_look_that_hangs_is_given_up_and_another_begun() -> None:
    hangs, first = threading.Event(), threading.Event()

    def find() -> AwsCredentials:
        if not first.is_set():
            first.set()
            assert hangs.wait(50)
        return AwsCredentials("AKIA1", "s1")

    keeper = CredentialKeeper(find, SystemClock(), Pace(shortest=0.01, look=0.05))
    running = asyncio.create_task(keeper.run())
    try:
        async with asyncio.timeout(50):
            while True:
                with suppress(ProviderUnavailable):
                    assert keeper.current(0).access_key == "AKIA1"
                    break
                await asyncio.sleep(0.01)
    finally:
        hangs.set()
        running.cancel()
