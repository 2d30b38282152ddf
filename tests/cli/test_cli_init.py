"""The first run, and the runs after it."""

import asyncio
import json
import shlex
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from cli_harness import Run
from database_copies import KINDS, PostgresDatabases
from plain_sql import rows

from quantized.auth.authenticate import Authenticator
from quantized.clock import SystemClock
from quantized.core.errors import Unauthenticated
from quantized.storage.keys import SqlKeyStore

QUANTIZED = Path(sys.executable).with_name("quantized")


def license_of(database: str, secret: str) -> str | None:
    """The licence that the gateway itself finds behind a key, None where it refuses the key."""

    async def ask() -> str | None:
        store = SqlKeyStore(database, patience=20)
        try:
            caller = await Authenticator(store, SystemClock(), 0).authenticate(f"Bearer {secret}")
        except Unauthenticated:
            return None
        else:
            return caller.license_id
        finally:
            store.close()

    return asyncio.run(ask())


def test_the_first_run_makes_everything_and_the_next_ones_nothing(run: Run, folder: Path) -> None:
    first = run("init", "--json").json
    assert license_of("sqlite:///var/quantized.db", first["api_key"]) == first["license_id"]
    assert first["available_micro_credits"] == 5_000_000
    before = {
        what: run(what, "list", "--json").json for what in ("institution", "license-type", "license", "key")
    }
    assert {what: len(rows) for what, rows in before.items()} == dict.fromkeys(before, 1)
    assert run("init", "--json").json == first
    assert {what: run(what, "list", "--json").json for what in before} == before


def kept_key(folder: Path, database: str) -> Path:
    """Where the first key is kept."""
    if database.startswith("sqlite"):
        return folder / "var" / "quantized.db.first-key"
    return folder / "var" / f"{database.rpartition('/')[2]}@127.0.0.1.first-key"


def test_it_prints_base_url_key_and_a_call_every_time(run: Run, database: str) -> None:
    printed = [run("init").out for _ in range(2)]
    first = run("init", "--json").json
    assert printed[0] == printed[1]
    assert f"Base URL  {first['base_url']}\n" in printed[0]
    assert f"API key   {first['api_key']}  (kept in {kept_key(Path(), database)})\n" in printed[0]
    curl = shlex.split(next(line for line in printed[0].splitlines() if line.startswith("curl ")))
    assert curl[1] == "http://127.0.0.1:8080/v1/chat/completions"
    assert f"Authorization: Bearer {first['api_key']}" in curl
    assert json.loads(curl[-1])["model"] == "quantized/demo"


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("host", "base_url"),
    [
        ("0.0.0.0", "http://127.0.0.1:9000/v1"),
        ("::", "http://[::1]:9000/v1"),
        ("gateway.example", "http://gateway.example:9000/v1"),
    ],
)
def test_the_base_url_is_one_that_can_be_called(run: Run, host: str, base_url: str) -> None:
    assert run("init", "--json", QUANTIZED_HOST=host, QUANTIZED_PORT="9000").json["base_url"] == base_url


def test_only_the_owner_may_read_the_key(run: Run, folder: Path, database: str) -> None:
    run("init")
    kept = kept_key(folder, database)
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    kept.chmod(0o644)
    run("init")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


@pytest.mark.parametrize("damage", ["deactivated", "expired", "lost", "garbage", "foreign"])
def test_a_key_that_works_no_more_is_replaced(run: Run, folder: Path, database: str, damage: str) -> None:
    first = run("init", "--json").json
    kept = kept_key(folder, database)
    if damage == "deactivated":
        run("key", "deactivate", first["key_id"])
    elif damage == "expired":
        run("key", "rotate", first["key_id"], "--grace", "1s")
        # Its expiry is put into the past, as waiting would.
        rows(database, "UPDATE api_key SET expires_at = 1 WHERE id = ?", first["key_id"])
    elif damage == "lost":
        kept.unlink()
    elif damage == "garbage":
        kept.write_bytes(b"\xff\x00 no key")
    else:
        other = run("license", "create", "standard", "--json").json["license_id"]
        kept.write_text(run("key", "create", other, "--json").json["api_key"])
    second = run("init", "--json").json
    assert second["api_key"] != first["api_key"]
    assert second["license_id"] == first["license_id"]
    assert license_of(database, second["api_key"]) == first["license_id"]
    assert run("init", "--json").json == second


@pytest.mark.usefixtures("database")
def test_a_deactivated_licence_gets_no_new_key(run: Run) -> None:
    run("init")
    run("license", "deactivate", "first")
    found = run("init", "--json").json
    assert found["api_key"] is None
    assert len(run("key", "list", "--json").json) == 1
    assert "quantized license activate" in run("init").out


@pytest.mark.usefixtures("database")
def test_a_database_that_was_set_up_by_hand_is_left_alone(run: Run) -> None:
    run("institution", "create", "mine")
    found = run("init", "--json").json
    assert found == {"base_url": "http://127.0.0.1:8080/v1"} | dict.fromkeys(found.keys() - {"base_url"})
    assert [row["alias"] for row in run("institution", "list", "--json").json] == ["mine"]
    assert "quantized key create" in run("init").out
    # Also where some of it is called as ours would be.
    for words in (("institution", "create", "home"), ("license-type", "create", "home", "standard")):
        assert run(*words).status == 0
        assert run("init", "--json").json == found
    assert run("license", "list", "--json").json == []


@pytest.mark.parametrize("kind", KINDS)
def test_two_at_once_agree(
    folder: Path,
    kind: str,
    postgres: Callable[[], PostgresDatabases],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ExitStack() as stack:
        url = "sqlite:///var/quantized.db"
        if kind != "sqlite":
            url = stack.enter_context(postgres().temporary())
            monkeypatch.setenv("QUANTIZED_DATABASE_URL", url)
        started = [
            subprocess.Popen([QUANTIZED, "init", "--json"], cwd=folder, stdout=subprocess.PIPE, text=True)
            for _ in range(2)
        ]
        first, second = (json.loads(process.communicate(timeout=200)[0]) for process in started)
        assert [process.returncode for process in started] == [0, 0]
        assert first == second
        assert first["available_micro_credits"] == 5_000_000
        assert license_of(url, first["api_key"]) == first["license_id"]


@pytest.mark.usefixtures("database")
def test_a_first_run_that_was_stopped_before_it_had_a_key_is_finished(run: Run) -> None:
    run("institution", "create", "home")
    run("license-type", "create", "home", "standard", "--credits", "5")
    made = run("license", "create", "home/standard", "--unique-id", "first", "--json").json
    first = run("init", "--json").json
    assert first["license_id"] == made["license_id"]
    assert first["available_micro_credits"] == 5_000_000


def test_mistakes_in_the_settings_are_told_before_anything_is_made(run: Run, folder: Path) -> None:
    ran = run("init", QUANTIZED_PORT="no", QUANTIZED_DEMO="perhaps")
    assert (ran.status, ran.out) == (1, "")
    assert "QUANTIZED_PORT: must be an integer" in ran.err
    assert "QUANTIZED_DEMO: must be true or false" in ran.err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("mysql://u:secret@h/d", "the database URL begins with 'mysql'"),
        ("sqlite:///:memory:", "SQLite must be a file"),
        ("postgresql://u:secret@h/d?nonsense=1", "nonsense"),
    ],
)
def test_a_bad_database_is_told_with_the_other_mistakes(run: Run, folder: Path, url: str, says: str) -> None:
    for command in ("init", "serve", "models"):
        ran = run(command, QUANTIZED_PORT="no", QUANTIZED_DATABASE_URL=url)
        assert (ran.status, ran.out) == (1, "")
        assert "QUANTIZED_PORT: must be an integer" in ran.err
        assert "QUANTIZED_DATABASE_URL: " in ran.err
        assert says in ran.err
        assert "secret" not in ran.err
    (folder / "quantized.toml").write_text(f'port = "no"\ndatabase_url = "{url}"')
    told = run("init").err
    assert "port" in told
    assert "database_url" in told
    assert says in told


def test_a_place_that_cannot_be_written_is_told(run: Run, folder: Path) -> None:
    (folder / "var").write_text("a file where the folder should be")
    ran = run("init")
    assert ran.status == 1
    assert "var" in ran.err
    assert "Traceback" not in ran.err
