"""`quantized roster`, on databases and by the API; and what the API cannot be told."""

import csv
import re
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from admin_world import served
from cli_harness import EVERY_WAY, Run

from quantized.administration.administration import Administration
from quantized.clock import SystemClock

COURSE = "\ufeffID;Name;Credits\r\nann;Ann;2,5\r\nbob;=Bob();\r\n"


@pytest.fixture
def course(run: Run, folder: Path) -> Path:
    run("institution", "create", "uni")
    run("license-type", "create", "uni", "student", "--credits", "5")
    file = folder / "bio.csv"
    file.write_text(COURSE, newline="")
    return file


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@EVERY_WAY
def test_from_a_file_to_keys_and_back(run: Run, database: str, course: Path) -> None:
    words = ("roster", "import", str(course), "--type", "uni/student")
    plan = run(*words, "--dry-run")
    assert plan.out.splitlines() == [
        "+ ann  name Ann, credits 2.5",
        "+ bob  name =Bob(), credits 5",
        "Would be: 2 added, 0 changed, 0 returned, 0 removed; 0 unchanged",
    ]
    assert run("roster", "list", "--json").json == []
    done = run(*words, "--keys", "keys.csv")
    assert done.out.splitlines()[:2] == plan.out.splitlines()[:2]
    kept = Path("keys.csv")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    ann, bob = table(kept)
    assert (ann["person"], bob["name"]) == ("ann", "'=Bob()")
    assert re.fullmatch(r"sk-quantized-[\w-]{43}", ann["api_key"])
    assert run("key", "show", ann["api_key"][:19], "--json").json["user_id"] == "ann"

    again = run(*words, "--keys", "more.csv")
    assert "Everybody has a key or a link" in again.err
    assert not Path("more.csv").exists()
    course.write_text("id,name,credits\nann,Anna,3\ncat,Cat,1\n")
    assert run("roster", "import", str(course)).out.splitlines() == [
        "~ ann  name Ann -> Anna, credits 2.5 -> 3",
        "+ cat  name Cat, credits 1",
        "- bob",
        "People: 1 added, 1 changed, 0 returned, 1 removed; 0 unchanged",
    ]
    assert run("license", "show", "bio:bob", "--json").json["active"] is False
    people = {person["person"]: person for person in run("roster", "people", "bio", "--json").json}
    assert {name: person["has_key"] for name, person in people.items()} == {"ann": True, "cat": False}
    assert [line.split()[0] for line in run("roster", "people", "bio", "--removed").out.splitlines()] == [
        "person",
        "bob",
    ]
    assert run("roster", "close", "bio", "--json").json["removed"] == 2
    (roster,) = run("roster", "list", "--json").json
    assert (roster["people"], roster["removed"]) == (0, 3)
    actions = [entry["action"] for entry in run("audit-log", "list", "--json").json]
    assert actions[:3] == ["closeRoster", "importRoster", "importRoster"]


@EVERY_WAY
def test_what_is_handed_out_is_read_by_every_spreadsheet(run: Run, database: str, course: Path) -> None:
    course.write_text('id;name\nann;Ännchen, A.\nbob;"Bob; B."\n')
    run("roster", "import", str(course), "--type", "uni/student", "--links", "links.csv")
    raw = Path("links.csv").read_bytes()
    # Which encoding and which separator it has is left to no guess.
    assert raw.startswith(b'\xef\xbb\xbf"person","name","email","link"\n"ann","\xc3\x84nnchen, A.","","')
    assert [row["name"] for row in table(Path("links.csv"))] == ["Ännchen, A.", "Bob; B."]


@EVERY_WAY
def test_what_is_said_for_all_and_not_done_is_told(run: Run, database: str, course: Path) -> None:
    words = ("roster", "import", str(course), "--type", "uni/student", "--expires", "2099-05-30")
    assert "keep" not in run(*words).err
    assert "keep" not in run(*words).err
    for more in ((), ("--dry-run",)):
        ran = run(*words[:-1], "2099-07-30", *more)
        assert "2 who were there already keep other credits or another end" in ran.err
        assert "2 unchanged" in ran.out


@EVERY_WAY
def test_keys_that_were_lost_are_renewed(run: Run, database: str, course: Path) -> None:
    words = ("roster", "import", str(course))
    run(*words, "--type", "uni/student", "--keys", "lost.csv")
    ran = run(*words, "--renew-keys")
    assert ran.status == 2
    assert "--renew-keys wants --links FILE or --keys FILE" in ran.err
    plan = run(*words, "--keys", "new.csv", "--renew-keys", "--dry-run")
    assert plan.out.splitlines()[-1] == "Whose keys would stop: 2"
    assert run("key", "show", table(Path("lost.csv"))[0]["api_key"][:19], "--json").json["active"]
    done = run(*words, "--keys", "new.csv", "--renew-keys")
    assert done.out.splitlines()[-2:] == [
        "Whose keys were stopped: 2",
        "2 in new.csv, which only you can read and which is not made again.",
    ]
    for file, works in (("lost.csv", False), ("new.csv", True)):
        for row in table(Path(file)):
            assert run("key", "show", row["api_key"][:19], "--json").json["active"] is works


@pytest.mark.parametrize("database", ["api"], indirect=True)
@pytest.mark.parametrize("what", ["links", "keys"])
def test_a_file_that_cannot_be_written_whole_is_told_with_what_helps(
    run: Run, database: str, course: Path, what: str
) -> None:
    course.write_text("id\n" + "\n".join(f"s{n:03}" for n in range(100)))
    # As on a full disk: no file of the process has more than so many bytes.
    limited = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000));"
        "from quantized.cli.main import main; main()"
    )
    words = ("roster", "import", str(course), "--type", "uni/student", f"--{what}")
    ran = subprocess.run(
        [sys.executable, "-c", limited, *words, "first.csv"], capture_output=True, text=True, check=False
    )
    whole = Path("first.csv").read_bytes().count(b"\n") - 1
    assert 10 < whole < 90
    assert (ran.returncode, ran.stderr.splitlines()) == (
        1,
        [
            f"Error: the import is done, but first.csv could not be written (File too large): {whole} of 100 "
            f"{what} are in it. Where there is room, make all of them anew, after which these work no more: "
            f"quantized roster import … --{what} NEW-FILE --renew-{what}"
        ],
    )
    assert "People: 100 added" in ran.stdout
    run(*words, "second.csv", f"--renew-{what}")
    assert len(table(Path("second.csv"))) == 100


@EVERY_WAY
def test_nothing_is_done_where_anything_is_wrong(run: Run, database: str, course: Path) -> None:
    course.write_text("id,credits\na b,1\nann,x\n")
    ran = run("roster", "import", str(course), "--type", "uni/student", "--links", "links.csv")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.splitlines() == [
        "Error: the roster has 2 mistakes, and nothing was changed:",
        "  line 2, id: 'a b' cannot name a person; write 1 to 128 letters, digits or signs of ASCII without "
        "spaces",
        "  line 3, credits: 'x' is no amount of credits; write a number above 0, such as 5 or 2.5",
    ]
    assert not Path("links.csv").exists()
    course.write_bytes(b"id,name\nann,M\xfcller\n")
    ran = run("roster", "import", str(course), "--type", "uni/student")
    assert (
        ran.err == f"Error: {course}, line 2: this is not UTF-8; in a spreadsheet, save it as 'CSV UTF-8'\n"
    )
    course.write_text(COURSE)
    Path("links.csv").write_text("mine")
    ran = run("roster", "import", str(course), "--type", "uni/student", "--links", "links.csv")
    assert "is there already" in ran.err
    assert run("roster", "list", "--json").json == []
    assert (
        run("roster", "people", "bio").err == "Error: there is no roster 'bio'; see: quantized roster list\n"
    )


@EVERY_WAY
def test_what_excel_calls_unicode_is_read(run: Run, database: str, course: Path) -> None:
    course.write_bytes("id\tname\r\nann\tÄnn\r\n".encode("utf-16"))
    run("roster", "import", str(course), "--type", "uni/student")
    assert run("roster", "people", "bio", "--json").json[0]["name"] == "Änn"


def test_links_begin_with_the_public_url_and_work(run: Run, database: str, course: Path) -> None:
    desk = Administration(database, SystemClock())
    with served(lambda: desk) as port:
        site = f"http://127.0.0.1:{port}"
        run(
            "roster",
            "import",
            str(course),
            "--type",
            "uni/student",
            "--links",
            "l.csv",
            QUANTIZED_PUBLIC_URL=site,
        )
        ann, _ = table(Path("l.csv"))
        assert ann["link"].startswith(f"{site}/claim/")
        assert "sk-quantized-" in httpx.post(ann["link"], timeout=50, verify=False).text
        lost = run(
            "roster", "link", "bio", "ann", "--stop-keys", "--json", QUANTIZED_PUBLIC_URL=f"{site}/"
        ).json
        assert "sk-quantized-" in httpx.post(lost["link"], timeout=50, verify=False).text
    keys = run("key", "list", "--license", "bio:ann", "--json").json
    assert sorted(key["active"] for key in keys) == [False, True]


def test_links_that_only_this_machine_reaches_are_told(run: Run, database: str, course: Path) -> None:
    words = ("roster", "import", str(course), "--type", "uni/student", "--links")
    warning = "Warning: links begin with http://127.0.0.1:8080, which no other machine reaches."
    assert warning in run(*words, "near.csv").err
    assert warning in run("roster", "link", "bio", "ann").err
    far = {"QUANTIZED_PUBLIC_URL": "https://ai.example.edu"}
    assert run(*words, "far.csv", "--renew-links", **far).err == ""
    assert run("roster", "link", "bio", "ann", **far).err == ""


@pytest.mark.parametrize(
    "words",
    [
        ("ledger", "verify"),
        ("audit-log", "verify"),
        ("models",),
        ("license", "refund", "req-1", "--reason", "x"),
    ],
)
def test_what_only_the_database_knows_is_asked_of_no_api(
    run: Run, database: str, words: tuple[str, ...]
) -> None:
    ran = run("--url", "http://127.0.0.1:9", *words, QUANTIZED_ADMIN_KEY="x")
    assert ran.status in {1, 2}
    assert "this works on the database itself" in ran.err


@pytest.mark.parametrize(
    ("url", "key", "says"),
    [
        ("127.0.0.1:8080", "x", "is no gateway's URL"),
        ("ftp://127.0.0.1", "x", "is no gateway's URL"),
        ("http://127.0.0.1:9", "", "there is no admin key"),
        ("http://127.0.0.1:9", "x", "cannot reach the gateway at http://127.0.0.1:9"),
    ],
)
def test_a_gateway_that_cannot_be_asked(run: Run, folder: Path, url: str, key: str, says: str) -> None:
    ran = run("--url", url, "institution", "list", QUANTIZED_ADMIN_KEY=key)
    assert ran.status == 1
    assert says in ran.err


@pytest.mark.parametrize("database", ["api"], indirect=True)
def test_a_key_that_may_not(run: Run, database: str, course: Path) -> None:
    made = run("admin-key", "create", "--name", "reader", "--role", "auditor", "--json").json
    ran = run("institution", "create", "other", QUANTIZED_ADMIN_KEY=made["admin_key"])
    assert ran.err == "Error: an auditor reads, and changes nothing\n"
    assert len(run("institution", "list", "--json", QUANTIZED_ADMIN_KEY=made["admin_key"]).json) == 1
    ran = run("institution", "list", QUANTIZED_ADMIN_KEY="sk-quantized-admin-wrong")
    assert "does not accept the key in QUANTIZED_ADMIN_KEY" in ran.err
    ran = run("license", "grant", "x", "1", "--actor", "me")
    assert ran.status == 2
