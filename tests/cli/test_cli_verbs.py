"""The command line says everything that an administrator can: each verb, and every field of those that change
something."""

from pathlib import Path
from typing import Any

import pytest
from admin_world import served
from cli_harness import Run
from database_copies import Templates
from msgspec.structs import fields

from quantized.administration import verbs as v
from quantized.administration.actor import Actor, command_line
from quantized.administration.administration import _WRITES, Administration
from quantized.administration.endpoints import BY_VERB, ENDPOINTS
from quantized.administration.port import Repeat
from quantized.clock import SystemClock

PUBLIC_KEY = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
FOR_PAGES = {"limit", "cursor"}
TRIED_ELSEWHERE = {v.CreateLicenseType, v.UpdateLicenseType}
"""Each of their fields is an option that test_cli_life.py tries."""

SAID = """
institution create uni --name Uni
institution update uni --name New
institution list
institution show uni
institution key add uni PUBLIC --kid k1 --expires 30d
institution key update k1 --expires none
institution key update k1 --expires 60d
institution key deactivate k1
institution key activate k1
institution key show k1
jwt revoke uni token-1 --reason lost
jwt revoked
license-type create uni std --credits 5
license-type update uni/std --name Standard
license-type show uni/std
license-type list
license create uni/std --unique-id bio --name Biology --credits 7 --user-allowance 2
license create uni/std --unlimited
license update bio --name Bio
license deactivate bio
license activate bio
license list
license show bio
license grant bio 3 --reason more --id g-1
license adjust bio 1 --take --reason slip --id a-1
license entries bio
license allowance default bio 1
license allowance set bio ann 2
license allowance list bio
key create bio --name Ann --expires 30d --user-id ann
key list
key show KEY
key update KEY --name Anna
key deactivate KEY
key activate KEY
key rotate KEY --grace 1h
roster import people.csv --license bio
roster list
roster show people
roster people people
roster link people ann --days 3 --stop-keys
roster import people.csv --roster people --dry-run
roster import people.csv --roster two --type uni/std --credits 2 --links l.csv --link-days 3
roster import people.csv --roster two --expires 2099-01-31 --links l2.csv --renew-links --remove-most
roster import people.csv --roster two --keys k.csv --renew-keys
roster close people
usage --user ann --institution uni
usage --by request --user ann --institution uni
admin-key create --name Ann --role auditor --institution uni --expires 30d
admin-key list
admin-key show ADMIN
admin-key update ADMIN --name Anna
admin-key deactivate ADMIN
admin-key activate ADMIN
admin-key rotate ADMIN --grace 1h
admin-key whoami
audit-log list
"""


class Listening(Administration):
    """Notes what it is told, and which fields of it were said."""

    said: dict[type[v.Verb[Any]], set[str]]

    def do(self, actor: Actor, verb: v.Verb[Any], repeat: Repeat | None = None) -> Any:
        told = {field.name for field in fields(verb) if getattr(verb, field.name) != field.default}
        self.said.setdefault(type(verb), set()).update(told)
        return super().do(actor, verb, repeat)


def test_every_verb_has_a_command(
    run: Run, folder: Path, templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Listening(templates.sqlite(folder / "quantized.db"), SystemClock(), kept=4)
    desk.said = {}
    root = desk.do(command_line("root", "here"), v.CreateAdminKey(name="root", role="operator"))
    desk.said.clear()
    (folder / "people.csv").write_text("id\nann\n")
    with served(lambda: desk) as port:
        monkeypatch.setenv("QUANTIZED_ADMIN_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("QUANTIZED_ADMIN_KEY", root.admin_key or "")
        named = {"PUBLIC": PUBLIC_KEY}
        for line in SAID.strip().splitlines():
            words = [named.get(word, word) for word in line.split()]
            done = run(*words, "--json")
            assert done.status == 0, (line, done.err)
            if words[1] == "create" and words[0] in ("key", "admin-key"):
                named["KEY" if words[0] == "key" else "ADMIN"] = done.json[f"{words[0].replace('-', '_')}_id"]
        refunded = run(
            "license", "refund", "req-1", "--license", "bio", "1", "--reason", "sorry", "--id", "r-1"
        )
        assert "there is no charge" in refunded.err
    assert set(BY_VERB) == set(desk.said)
    silent = {
        endpoint.name: unsaid
        for endpoint in ENDPOINTS
        if endpoint.verb in _WRITES and endpoint.verb not in TRIED_ELSEWHERE
        if (unsaid := {field.name for field in fields(endpoint.verb)} - desk.said[endpoint.verb] - FOR_PAGES)
    }
    assert silent == {}
