"""Institutions, licence types, licences and keys, from their making to their end."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cli_harness import EVERY_WAY, Run
from plain_sql import rows

from quantized.administration.actor import command_line
from quantized.administration.administration import Administration
from quantized.administration.verbs import CreateInstitution, CreateLicense, CreateLicenseType
from quantized.auth import api_key
from quantized.clock import SystemClock
from quantized.storage.schema import metadata

pytestmark = [EVERY_WAY, pytest.mark.usefixtures("database")]


@pytest.fixture
def license_id(database: str) -> str:
    """What nearly every test begins with, without the time that three commands take."""
    with Administration(database, SystemClock()).together(command_line("tests", "localhost")) as say:
        say(CreateInstitution(alias="uni", name="University"))
        say(CreateLicenseType(institution="uni", alias="course"))
        return say(CreateLicense(license_type="course", unique_id="bio-101")).license_id


def test_from_institution_to_key(run: Run, database: str) -> None:
    institution = run("institution", "create", "uni", "--name", "The University", "--json").json
    assert institution["alias"] == "uni"
    kind = run(
        "license-type", "create", "uni", "course", "--markup", "1.25", "--credits", "2.5", "--json",
        "--rate", "openai/gpt-4.1", "input", "2", "--rate", "openai/gpt-4.1", "request", "0.001",
    ).json  # fmt: skip
    assert kind["institution_id"] == institution["institution_id"]
    assert kind["markup"] == "1.25"
    assert kind["default_micro_credits"] == 2_500_000
    assert kind["overrides"] == {"openai/gpt-4.1": {"input": 2_000_000, "request": 1_000_000_000}}
    licence = run("license", "create", "uni/course", "--unique-id", "bio-101", "--json").json
    assert licence["institution_id"] == institution["institution_id"]
    assert licence["available_micro_credits"] == licence["granted_micro_credits"] == 2_500_000
    key = run("key", "create", "bio-101", "--name", "laptop", "--user-id", "u1", "--json").json
    digest = api_key.digest(key.pop("api_key"))
    assert rows(database, "SELECT id FROM api_key WHERE digest = ?", digest) == [(key["key_id"],)]
    assert (key["license_id"], key["name"], key["user_id"]) == (licence["license_id"], "laptop", "u1")
    assert (key["active"], key["expires_at"]) == (True, None)
    assert run("key", "show", key["key_id"], "--json").json == key


def test_shapes_for_programs(run: Run, license_id: str) -> None:
    run("key", "create", license_id)
    shapes = {
        "institution": {"institution_id", "alias", "name", "public_keys", "created_at"},
        "license-type": {
            "license_type_id", "institution_id", "alias", "name", "markup", "allowed_models", "overrides",
            "default_micro_credits", "unlimited", "stores_responses", "retention_days", "limits",
            "token_allowance_micro_credits", "token_models", "allowed_providers",
            "user_allowance_micro_credits", "created_at", "updated_at",
        },
        "license": {
            "license_id", "institution_id", "license_type_id", "unique_id", "name", "active", "unlimited",
            "granted_micro_credits", "used_micro_credits", "held_micro_credits", "available_micro_credits",
            "user_allowance_micro_credits", "created_at",
        },
        "key": {
            "key_id", "license_id", "prefix", "name", "active", "expires_at", "user_id", "rotated_from",
            "created_at",
        },
    }  # fmt: skip
    for what, shape in shapes.items():
        (listed,) = run(what, "list", "--json").json
        assert set(listed) == shape
        assert datetime.fromisoformat(listed["created_at"]).tzinfo == UTC
        own_id = listed[f"{what.replace('-', '_')}_id"]
        assert run(what, "show", own_id, "--json").json == listed
        assert run(what, "show", own_id[:-2], "--json").json == listed


def test_credits_are_granted_once_by_their_id(run: Run, license_id: str) -> None:
    def available(*words: str) -> object:
        return run("license", "grant", "bio-101", *words, "--json").json["available_micro_credits"]

    assert available("1.5") == 1_500_000
    assert available("1.5") == 3_000_000
    assert available("--micro", "1") == 3_000_001
    assert available("2", "--id", "invoice-7") == 5_000_001
    assert available("2", "--id", "invoice-7") == 5_000_001
    clash = run("license", "grant", "bio-101", "3", "--id", "invoice-7")
    assert (clash.status, "invoice-7" in clash.err) == (1, True)
    assert available("--take", "--micro", "1") == 5_000_000
    beyond = run("license", "grant", "bio-101", "6", "--take")
    assert beyond.status == 1
    assert "not that much left" in beyond.err
    assert run("license", "show", license_id, "--json").json["available_micro_credits"] == 5_000_000


@pytest.mark.parametrize(
    "words",
    [(), ("1", "--micro", "1"), ("0",), ("-1",), ("0.0000001",), ("many",), ("--micro", "0"), ("1e99",)],
)
def test_amounts_that_are_none(run: Run, license_id: str, words: tuple[str, ...]) -> None:
    assert run("license", "grant", license_id, *words).status == 2
    assert run("license", "show", license_id, "--json").json["granted_micro_credits"] == 0


def test_unlimited_licences(run: Run, license_id: str) -> None:
    run("license-type", "create", "uni", "staff", "--unlimited")
    for words in (("staff",), ("course", "--unlimited")):
        made = run("license", "create", *words, "--json").json
        assert made["unlimited"] is True
        assert made["available_micro_credits"] is None
    limited = run("license", "create", "staff", "--credits", "1", "--json").json
    assert limited["available_micro_credits"] == 1_000_000
    assert run("license", "create", "staff", "--credits", "1", "--unlimited").status == 2


def test_licences_are_deactivated_and_activated(run: Run, license_id: str) -> None:
    assert run("license", "deactivate", "bio-101", "--json").json["active"] is False
    assert run("license", "show", "bio-101", "--json").json["active"] is False
    assert run("license", "activate", "bio-101", "--json").json["active"] is True


def test_licences_are_listed_by_institution_and_type(run: Run, license_id: str) -> None:
    run("institution", "create", "other")
    run("license-type", "create", "other", "course")
    run("license", "create", "other/course", "--unique-id", "there")

    def listed(*words: str) -> list[str]:
        return [row["unique_id"] for row in run("license", "list", *words, "--json").json]

    assert listed() == ["bio-101", "there"]
    assert listed("--institution", "other") == ["there"]
    assert listed("--type", "uni/course") == ["bio-101"]
    assert [row["alias"] for row in run("license-type", "list", "--institution", "other", "--json").json] == [
        "course"
    ]


def test_a_licence_type_is_updated(run: Run, license_id: str) -> None:
    before = run("license-type", "show", "course", "--json").json
    changed = run(
        "license-type", "update", "course", "--name", "Courses", "--markup", "0.5", "--credits", "1",
        "--rate", "a/b", "output", "3", "--rate", "c/d", "input", "0.000001", "--json",
    ).json  # fmt: skip
    assert changed["updated_at"] > before["updated_at"]
    assert (changed["name"], changed["markup"], changed["default_micro_credits"]) == (
        "Courses",
        "0.5",
        1_000_000,
    )
    assert changed["overrides"] == {"a/b": {"output": 3_000_000}, "c/d": {"input": 1}}
    changed = run(
        "license-type", "update", "course", "--rate", "a/b", "input", "1", "--drop-rates", "c/d", "--json"
    )
    assert changed.json["overrides"] == {"a/b": {"input": 1_000_000, "output": 3_000_000}}
    assert run("license-type", "update", "course").status == 2
    assert run("license-type", "update", "course", "--drop-rates", "x/y").status == 1
    for wrong in (
        ("a b", "input", "1"),
        ("a", "inptu", "1"),
        ("a", "input", "-1"),
        ("a", "input", "0.0000001"),
    ):
        assert run("license-type", "update", "course", "--rate", *wrong).status == 2
    assert run("license-type", "update", "course", "--markup", "1.00001").status == 2
    assert run("institution", "update", "uni", "--name", "U", "--json").json["name"] == "U"


def test_a_licence_type_says_whether_and_how_long_responses_are_stored(run: Run, license_id: str) -> None:
    def policy(*words: str) -> tuple[object, object]:
        made = run("license-type", *words, "--json").json
        return made["stores_responses"], made["retention_days"]

    assert policy("show", "course") == (True, None)
    assert policy("create", "uni", "exam", "--no-store") == (False, None)
    assert policy("create", "uni", "lab", "--retention-days", "7") == (True, 7)
    assert policy("update", "lab", "--no-store") == (False, 7)
    assert policy("update", "lab", "--store", "--retention-days", "0") == (True, 0)
    assert policy("update", "lab", "--name", "Lab") == (True, 0)
    assert policy("update", "lab", "--retention-days", "default") == (True, None)
    for wrong in ("-1", "1.5", "36501", "never"):
        assert run("license-type", "update", "lab", "--retention-days", wrong).status == 2
    assert policy("show", "lab") == (True, None)


def test_a_licence_type_says_which_models_may_be_called(run: Run, license_id: str) -> None:
    def models(*words: str) -> object:
        return run("license-type", *words, "--json").json["allowed_models"]

    assert models("show", "course") == ["*"]
    assert models("create", "uni", "exam", "--models", "openai/*") == ["openai/*"]
    assert models("update", "exam", "--models", "a/b", "--models", "meta/*") == ["a/b", "meta/*"]
    assert models("update", "exam", "--markup", "2") == ["a/b", "meta/*"]
    listed = run("license-type", "list", "--json").json
    assert {row["alias"]: row["allowed_models"] for row in listed} == {
        "course": ["*"],
        "exam": ["a/b", "meta/*"],
    }
    assert "a/b, meta/*" in run("license-type", "list").out
    assert re.search(r"allowed models +a/b, meta/\*\n", run("license-type", "show", "exam").out)
    assert models("update", "exam", "--models", "a/b", "--models", "*") == ["*"]
    for wrong in ("", "a b", "é/*"):
        assert run("license-type", "update", "exam", "--models", wrong).status == 2


def test_keys_end(run: Run, license_id: str, now: int) -> None:
    def shown(key: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = run("key", "show", key["key_id"], "--json").json
        return found

    first = run("key", "create", license_id, "--json").json
    assert run("key", "deactivate", first["key_id"], "--json").json["active"] is False
    assert run("key", "rotate", first["key_id"]).status == 1
    assert run("key", "activate", first["prefix"], "--json").json["active"] is True
    second = run("key", "rotate", first["key_id"], "--json").json
    assert second["rotated_from"] == first["key_id"]
    assert second["api_key"] != first["api_key"]
    assert second["license_id"] == license_id
    assert shown(first)["active"] is False
    third = run("key", "rotate", second["key_id"], "--grace", "2h", "--json").json
    graced = shown(second)
    assert graced["active"] is True
    assert abs(unix_ms(datetime.fromisoformat(graced["expires_at"])) - now - 7_200_000) < 60_000
    assert shown(third)["expires_at"] is None
    assert run("key", "rotate", third["key_id"], "--grace", "soon").status == 2


def test_keys_expire(run: Run, license_id: str, now: int) -> None:
    def expiry(text: str) -> int:
        made = run("key", "create", license_id, "--expires", text, "--json").json
        return unix_ms(datetime.fromisoformat(made["expires_at"]))

    assert abs(expiry("30d") - now - 30 * 86_400_000) < 60_000
    assert expiry("2100-01-31") == unix_ms(datetime(2100, 2, 1, tzinfo=UTC))
    assert expiry("2100-01-31T12:00") == unix_ms(datetime(2100, 1, 31, 12, tzinfo=UTC))
    assert expiry("2100-01-31T12:00+02:00") == unix_ms(datetime(2100, 1, 31, 10, tzinfo=UTC))
    for wrong in ("2001-01-01", "never", "0d", "9999-12-31", "9" * 40 + "d", "\N{ARABIC-INDIC DIGIT ONE}d"):
        assert run("key", "create", license_id, "--expires", wrong).status == 2


def unix_ms(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def test_a_key_is_shown_once(run: Run, license_id: str, database: str) -> None:
    made = run("key", "create", license_id)
    secret = made.out.splitlines()[0].split()[-1]
    assert secret.startswith("sk-quantized-")
    assert "cannot be shown again" in made.err
    for words in (("key", "list"), ("key", "list", "--json"), ("key", "show", secret[:19])):
        ran = run(*words)
        assert ran.status == 0
        assert secret[:19] in ran.out
        assert secret not in ran.out
    kept = [rows(database, f"SELECT * FROM {table}") for table in metadata.tables]
    assert any(kept)
    assert secret not in repr(kept)


@pytest.mark.parametrize("what", ["institution", "license-type", "license", "key"])
def test_wrong_references_say_where_to_look(run: Run, license_id: str, what: str) -> None:
    for wrong in ("nobody", "x", "", "00000000-0000-0000-0000-000000000000", "%", "' OR 1=1 --", "bio_101"):
        ran = run(what, "show", wrong)
        assert (ran.status, ran.out) == (1, "")
        assert f"quantized {what} list" in ran.err


def test_a_reference_that_means_two_is_refused(run: Run, license_id: str) -> None:
    run("institution", "create", "other")
    run("license-type", "create", "other", "course")
    ran = run("license-type", "show", "course")
    assert ran.status == 1
    assert "more than one licence type" in ran.err
    for kind in run("license-type", "list", "--json").json:
        assert kind["license_type_id"] in ran.err
    assert run("license-type", "show", "other/course").status == 0


def test_what_exists_is_not_made_again(run: Run, license_id: str) -> None:
    for words in (
        ("institution", "create", "uni"),
        ("license-type", "create", "uni", "course"),
        ("license", "create", "course", "--unique-id", "bio-101"),
    ):
        ran = run(*words)
        assert ran.status == 1
        assert "there is already" in ran.err
    assert run("license", "create", "course").status == 0
    assert run("license", "create", "course").status == 0


@pytest.mark.parametrize(
    "alias", ["", "Uni", "a b", "-a", "ä", "a/b", "12345678-1234-1234-1234-123456789abc", "a" * 65]
)
def test_aliases_that_are_refused(run: Run, alias: str) -> None:
    assert run("institution", "create", "--", alias).status == 2


def test_no_name_reaches_the_terminal_as_an_escape_sequence(run: Run, database: str) -> None:
    assert run("institution", "create", "uni", "--name", "\x1b[31mred").status == 2
    insert = "INSERT INTO institution (id, alias, name, created_at) VALUES (?, ?, ?, ?)"
    rows(database, insert, "an id", "evil", "\x1b[31mred\u202e", 1)
    listed = run("institution", "list").out
    assert "\\x1b[31mred\\u202e" in listed
    assert "\x1b" not in listed
