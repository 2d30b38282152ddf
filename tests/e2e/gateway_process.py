"""The real gateway as a process of its own, its command line, and its books read from outside."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from uuid import uuid4

from click.testing import CliRunner, Result
from hostile import UPSTREAM_KEY, Hostile
from hostile_behaviours import BEHAVIOURS
from plain_sql import plainly

import quantized
from quantized.administration.actor import command_line
from quantized.administration.administration import Administration
from quantized.administration.verbs import CreateKey, CreateLicense
from quantized.cli.main import cli
from quantized.clock import SystemClock

T = TypeVar("T")

SOURCE = Path(quantized.__file__).parents[1]
"""The processes run what the tests have imported, whichever is installed."""

INPUT, OUTPUT = 2, 8
"""The rates of the hostile models, in micro-credits a token."""

_MODEL = "{{ input = {input}.0, output = {output}.0 }}"
_RATES = _MODEL.format(input=INPUT, output=OUTPUT)


def eventually(condition: Callable[[], T | None], what: str = "", seconds: float = 25) -> T:
    """What `condition` gives once that is true."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, f"not within {seconds} s: {what or condition}"
        time.sleep(0.01)
    return found


class Licence(NamedTuple):
    id: str
    key: str
    key_id: str
    marker: str
    """A word that no other licence's prompts hold."""

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}


class Books(NamedTuple):
    """Everything the database holds about one licence, each row as a mapping."""

    licence: Mapping[str, Any]
    holds: Sequence[Mapping[str, Any]]
    entries: Sequence[Mapping[str, Any]]
    usage: Sequence[Mapping[str, Any]]
    responses: Sequence[Mapping[str, Any]]

    @property
    def open_holds(self) -> int:
        return sum(hold["state"] == "open" for hold in self.holds)

    def audit(self) -> None:
        """Each hold ended once, and every sum is what its parts add up to."""
        licence = self.licence
        moved = sum(
            entry["amount"] * ((entry["credit"] == "license") - (entry["debit"] == "license"))
            for entry in self.entries
        )
        assert moved == licence["granted"] - licence["used"], self
        assert [entry["seq"] for entry in self.entries] == list(range(1, licence["entries"] + 1)), self
        assert licence["held"] == 0 and self.open_holds == 0, self
        assert licence["unlimited"] or licence["used"] <= licence["granted"], self
        charges = [entry["hold_id"] for entry in self.entries if entry["kind"] == "charge"]
        settled = sorted(hold["id"] for hold in self.holds if hold["state"] == "settled")
        assert len(charges) == len(set(charges)), self
        assert sorted(row["hold_id"] for row in self.usage) == settled, self
        assert sum(row["charged"] for row in self.usage) == licence["used"], self


def configuration(hostile: Hostile, refused_port: int, silent_port: int, more: str) -> str:
    """The settings' file: providers that point at the hostile upstream and at ports where nobody is."""
    models = "\n".join(
        f'[providers.hostile.models."{name}"]\nrates = {_RATES}\nmax_output_tokens = 1000\n'
        + ("image = true" if name == "hostile/plain" else "")
        for name in BEHAVIOURS
    )
    return f"""
default_provider = "hostile"
port = 0
{more}
[providers.hostile]
base_url = "http://127.0.0.1:{hostile.port}/v1"
api_key_env = "HOSTILE_API_KEY"
{models}
[providers.hostile.models."hostile/unpriced"]
[providers.other]
base_url = "http://127.0.0.1:{hostile.port}/other/v1"
output_cap_field = "max_completion_tokens"
output_cap_required = true
[providers.other.models."hostile/plain"]
rates = {_MODEL.format(input=5, output=7)}
native_id = "hostile/second"
max_output_tokens = 1000
[providers.refusing]
base_url = "http://127.0.0.1:{refused_port}/v1"
[providers.refusing.models."refusing/model"]
rates = {_RATES}
max_output_tokens = 1000
[providers.silent]
base_url = "http://127.0.0.1:{silent_port}/v1"
[providers.silent.models."silent/model"]
rates = {_RATES}
max_output_tokens = 1000
"""


class GatewayProcess:
    """`quantized serve` in `room`, a directory that holds its settings, its database and its log."""

    def __init__(self, room: Path, settings: str, environ: Mapping[str, str] | None = None) -> None:
        self.room = room
        self.database = room / "quantized.db"
        self.log_path = room / "gateway.log"
        (room / "quantized.toml").write_text(settings)
        self.environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(SOURCE),
            "QUANTIZED_CONFIG": str(room / "quantized.toml"),
            "QUANTIZED_DATABASE_URL": f"sqlite:///{self.database}",
            "HOSTILE_API_KEY": UPSTREAM_KEY,
            **(environ or {}),
        }
        self._lines: list[dict[str, Any]] = []
        self._reading = threading.Lock()
        self._read = 0
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def database_url(self) -> str:
        return self.environ["QUANTIZED_DATABASE_URL"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def cli(self, *arguments: str) -> Any:
        """A command of the command line; what it prints as JSON. It is told of the database alone, because
        to read a hundred models again for each command would take most of its time."""
        done = self.run(*arguments, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def run(self, *arguments: str) -> Result:
        """A command of the command line, whatever comes of it."""
        plain = self.room / "plain.toml"
        plain.touch()
        environ = self.environ | {"QUANTIZED_CONFIG": str(plain)}
        # Where the database is a server's, the first key is kept below the working directory.
        with chdir(self.room):
            return CliRunner().invoke(cli, [*arguments], env=environ, catch_exceptions=False)

    def spawn(self) -> subprocess.Popen[bytes]:
        """The process, as soon as there is one."""
        quantized = Path(sys.executable).with_name("quantized")
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                [quantized, "serve"],
                cwd=self.room,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def start(self) -> float:
        """Returns once it listens: the seconds that took, but for those in which the process was ready to run
        and other work had the processor."""
        logged = self.log_path.stat().st_size if self.log_path.exists() else 0
        began = time.monotonic()
        process = self.process = self.spawn()

        def listening() -> re.Match[bytes] | None:
            assert process.poll() is None, self.log_path.read_text()
            said = self.log_path.read_bytes()[logged:]
            return re.search(rb'"listening","url":"http://[0-9.]+:(\d+)"', said)

        self.port = int(eventually(listening, "the gateway listens", 100)[1])
        took = time.monotonic() - began
        _, queued, _ = Path(f"/proc/{process.pid}/schedstat").read_text().split()
        return took - int(queued) / 1e9

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Returns the exit status."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(25)

    def licence(
        self, balance: str | None = "10", *, type_: str = "home/standard", user_id: str | None = None
    ) -> Licence:
        """A licence with a key, which is of `user_id`. `balance` in credits; None: unlimited. Every other
        test asks for one: what the command line needs for itself is left out."""
        marker = f"marker-{uuid4().hex}"
        begins_with = None if balance is None else int(Decimal(balance) * 1_000_000)
        desk = Administration(self.database_url, SystemClock())
        with desk.together(command_line("tests", "localhost")) as say:
            create = CreateLicense(
                license_type=type_, unique_id=marker, micro_credits=begins_with, unlimited=balance is None
            )
            licence = say(create)
            key = say(CreateKey(license=licence.license_id, user_id=user_id))
        assert key.api_key is not None
        return Licence(licence.license_id, key.api_key, key.key_id, marker)

    def books(self, licence: Licence) -> Books:
        def rows(table: str, column: str) -> list[dict[str, Any]]:
            return sql.named(f"SELECT * FROM {table} WHERE {column} = ?", licence.id)

        with plainly(self.database_url) as sql, sql.one_moment():
            return Books(
                rows("license", "id")[0],
                rows("hold", "license_id"),
                rows("ledger_entry", "license_id"),
                rows("usage_record", "license_id"),
                rows("response", "license_id"),
            )

    def settled(self, licence: Licence, holds: int = 1) -> Books:
        """The books once `holds` holds were taken and all of them have ended; audited."""

        def quiet() -> Books | None:
            books = self.books(licence)
            return books if len(books.holds) >= holds and not books.open_holds else None

        books: Books = eventually(quiet, "every hold ended")
        assert len(books.holds) == holds, books
        books.audit()
        return books

    def log(self) -> list[dict[str, Any]]:
        """All lines that are whole. What was read before is not read again: the log of a gateway that serves
        hundreds of tests is long, and is often waited for."""
        # Threads of one test may wait for lines at the same time.
        with self._reading, self.log_path.open("rb") as file:
            file.seek(self._read)
            whole = file.read().rpartition(b"\n")[0]
            if whole:
                self._read += len(whole) + 1
                self._lines += map(json.loads, whole.split(b"\n"))
            return list(self._lines)

    def line(self, request_id: str) -> dict[str, Any]:
        """The line that a request leaves in the log."""

        def written() -> list[dict[str, Any]]:
            return [
                line
                for line in self.log()
                if line["message"] == "request" and line["request_id"] == request_id
            ]

        lines = eventually(written, "the request's line in the log")
        assert len(lines) == 1, lines
        return lines[0]

    def lines_of(self, licence: Licence, count: int = 1) -> list[dict[str, Any]]:
        """The lines of a licence's requests, once there are so many."""

        def written() -> list[dict[str, Any]] | None:
            lines = [
                line for line in self.log() if line.get("license_id") == licence.id and "request_id" in line
            ]
            lines = [line for line in lines if line["message"] == "request"]
            return lines if len(lines) >= count else None

        found: list[dict[str, Any]] = eventually(written, f"{count} lines of the licence")
        return found

    @property
    def memory(self) -> int:
        """Resident bytes."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024  # type: ignore[index]
