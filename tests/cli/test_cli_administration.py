"""What is typed is audited as what comes over HTTP is, and whoever types is named."""

import getpass
import platform
from collections.abc import Mapping

import pytest
from cli_harness import Run
from click import Group
from sqlalchemy import text

from quantized.cli.main import _COMMANDS, cli
from quantized.storage.engine import open_engine

PUBLIC_KEY = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
ACTS: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("institution", "create"): ("campus",),
    ("institution", "update"): ("uni", "--name", "New"),
    ("institution", "key", "add"): ("uni", PUBLIC_KEY, "--kid", "k1"),
    ("institution", "key", "update"): ("k1", "--expires", "30d"),
    ("institution", "key", "deactivate"): ("k1",),
    ("institution", "key", "activate"): ("k1",),
    ("license-type", "create"): ("uni", "other"),
    ("license-type", "update"): ("uni/std", "--rate", "quantized/demo", "input", "2"),
    ("license", "create"): ("uni/std", "--unique-id", "chem"),
    ("license", "update"): ("bio", "--name", "Biology"),
    ("license", "grant"): ("bio", "3"),
    ("license", "adjust"): ("bio", "1", "--take", "--reason", "slip"),
    ("license", "deactivate"): ("bio",),
    ("license", "activate"): ("bio",),
    ("key", "create"): ("bio",),
    ("key", "update"): ("KEY", "--name", "Ann's"),
    ("key", "deactivate"): ("KEY",),
    ("key", "activate"): ("KEY",),
    ("key", "rotate"): ("KEY",),
    ("jwt", "revoke"): ("uni", "token-1"),
    ("admin-key", "create"): ("--name", "n"),
    ("admin-key", "update"): ("ADMIN", "--name", "Bob"),
    ("admin-key", "deactivate"): ("ADMIN",),
    ("admin-key", "activate"): ("ADMIN",),
    ("admin-key", "rotate"): ("ADMIN",),
}
WRITING = {"create", "update", "add", "deactivate", "activate", "grant", "adjust", "rotate", "revoke"}


def commands(group: Group, words: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    """All there are, each by its words."""
    found: set[tuple[str, ...]] = set()
    for name in group.commands if words else _COMMANDS:
        command = group.get_command(None, name)  # type: ignore[arg-type]
        if isinstance(command, Group):
            found |= commands(command, (*words, name))
        else:
            found.add((*words, name))
    return found


def test_every_command_that_writes_is_tried_here() -> None:
    assert isinstance(cli, Group)
    writing = {words for words in commands(cli) if len(words) > 1 and words[-1] in WRITING}
    assert writing == set(ACTS)


def test_each_act_leaves_one_entry_that_names_who_typed(run: Run, database: str) -> None:
    for words in (
        ("institution", "create", "uni"),
        ("license-type", "create", "uni", "std", "--credits", "5"),
        ("license", "create", "uni/std", "--unique-id", "bio"),
    ):
        assert run(*words).status == 0
    named = {
        "KEY": run("key", "create", "bio", "--json").json["key_id"],
        "ADMIN": run("admin-key", "create", "--name", "first", "--json").json["admin_key_id"],
    }
    seen = len(run("audit-log", "list", "--limit", "200", "--json").json)
    for words, arguments in ACTS.items():
        said = run(*words, *(named.get(word, word) for word in arguments))
        assert said.status == 0, (words, said.err)
        log = run("audit-log", "list", "--limit", "200", "--json").json
        # Of a rotation the old key has an entry, too.
        entries = 2 if words[-1] == "rotate" else 1
        assert len(log) == seen + entries, words
        seen += entries
        entry = log[0]
        assert entry["actor_id"] == f"{getpass.getuser()}@{platform.node()}"
        assert (entry["role"], entry["origin"]) == ("operator", "command line")
        assert entry["after"] is not None
    assert run("audit-log", "verify").out == "The audit log is as it was written.\n"
    some = run("audit-log", "list", "--action", "grantCredits", "--since", "1h", "--json").json
    assert [row["after"]["granted_micro_credits"] for row in some] == [8_000_000]


def test_a_log_of_which_not_all_is_shown_says_so(run: Run, database: str) -> None:
    for alias in ("one", "two", "three"):
        run("institution", "create", alias)
    some = run("audit-log", "list", "--limit", "2", "--json")
    assert (len(some.json), "more than these 2" in some.err) == (2, True)
    for words in (("--limit", "3"), ("--all", "--limit", "1")):
        whole = run("audit-log", "list", *words, "--json")
        assert (len(whole.json), whole.err) == (3, "")


def test_a_log_that_was_altered_is_told(run: Run, database: str) -> None:
    for alias in ("one", "two", "three"):
        run("institution", "create", alias)
    assert run("audit-log", "verify").status == 0
    trigger = "refuses_update" if database.startswith("sqlite") else "refuses_changes ON audit_entry"
    with open_engine(database).begin() as connection:
        connection.execute(text(f"DROP TRIGGER audit_entry_{trigger}"))
        connection.execute(text("UPDATE audit_entry SET actor_name = 'nobody' WHERE seq = 2"))
    told = run("audit-log", "verify")
    assert told.status == 1
    assert told.out.startswith("entry 2 is not as it was written")


@pytest.mark.parametrize(
    "words", [("--role", "institution_admin"), ("--role", "operator", "--institution", "x")]
)
def test_a_role_without_its_scope_is_refused(run: Run, database: str, words: tuple[str, ...]) -> None:
    assert run("admin-key", "create", "--name", "n", *words).status == 2


def test_an_admin_key_is_shown_once(run: Run, database: str) -> None:
    made = run("admin-key", "create", "--name", "n", "--json").json
    assert made["admin_key"].startswith("sk-quantized-admin-")
    listed = run("admin-key", "list", "--json")
    assert made["admin_key"] not in listed.out
    assert listed.json[0]["prefix"] == made["admin_key"][:25]
