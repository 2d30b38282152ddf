"""The command line and a gateway elsewhere: what is sent, what goes wrong on the way, what is said of it."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from admin_world import ROOT
from cli_harness import Ran, Run
from click import ClickException

from quantized.administration.verbs import UpdateLicenseType
from quantized.cli.remote import RemoteAdministration

KEY = "sk-quantized-admin-x"
RECORD = {
    "key_id": "key-1", "license_id": "l", "prefix": "sk-quantized-x", "name": "n", "active": True,
    "expires_at": None, "user_id": None, "created_at": "2026-01-01T00:00:00.000Z", "rotated_from": None,
}  # fmt: skip
OLD = json.dumps(RECORD).encode()
NEW = json.dumps({**RECORD, "api_key": None}).encode()


class Peer:
    """Answers every request with the same bytes, or hangs up; keeps what it was sent."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self.heads: list[dict[str, str]] = []
        self.bodies: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with closing(connection), connection.makefile("rb") as incoming:
                lines: list[str] = []
                while (line := incoming.readline().decode()) and line != "\r\n":
                    lines.append(line.strip().lower())
                if not lines:
                    return  # Nobody asks any more.
                self.heads.append(dict(line.split(": ", 1) for line in lines[1:]))
                self.bodies.append(incoming.read(int(self.heads[-1].get("content-length", 0))))
                connection.sendall(self._answer)

    def header(self, name: str) -> list[str]:
        """What each request said in it; "" where nothing."""
        return [head.get(name, "") for head in self.heads]

    def close(self) -> None:
        socket.create_connection(self._listener.getsockname()).close()
        self._thread.join(50)
        self._listener.close()


Gateway = Callable[..., Peer]


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """A peer that answers so, or hangs up where there is no status."""
    with ExitStack() as open_:

        def made(body: bytes = b"", status: str = "200 OK", *headers: str) -> Peer:
            lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers]
            peer = Peer("\r\n".join([*lines, "", ""]).encode() + body if status else b"")
            open_.callback(peer.close)
            return peer

        yield made


@pytest.fixture
def ask(run: Run) -> Callable[..., Ran]:
    def asked(peer: Peer, *words: str) -> Ran:
        return run("--url", peer.url, *words, QUANTIZED_ADMIN_KEY=KEY)

    return asked


Ask = Callable[..., Ran]


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:abc",
        f"http://{'a' * 64}.example",
        "http://a..b",
        "http://127.0.0.1/ü",
        "http://127.0.0.1/a b",
        "http://a b",
    ],
)
def test_what_is_no_url_is_told_in_a_line(run: Run, url: str) -> None:
    ran = run("--url", url, "institution", "list", QUANTIZED_ADMIN_KEY=KEY)
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == f"Error: {url!r} is no gateway's URL; write https://ai.example.edu\n"


def test_a_redirect_is_named(gateway: Gateway, ask: Ask) -> None:
    peer = gateway(b"", "308 Permanent Redirect", "location: https://ai.example.edu/\x1b[2J")
    ran = ask(peer, "institution", "list")
    assert ran.status == 1
    assert ran.err == (
        f"Error: {peer.url} answered 308 and sends on to https://ai.example.edu/\\x1b[2J; say in --url where "
        "the gateway is itself\n"
    )


PERHAPS = "it may have been done: look before you say it again"


def test_what_was_sent_and_not_answered_may_have_been_done(gateway: Gateway, ask: Ask) -> None:
    silent = gateway(status="")
    ran = ask(silent, "institution", "create", "uni")
    assert ran.status == 1
    assert f"the gateway at {silent.url} was asked and did not answer" in ran.err
    assert ran.err.endswith(f"{PERHAPS}\n")
    assert len(silent.heads) == 1
    for read in (("institution", "list"), ("institution", "show", "uni")):
        ran = ask(silent, *read)
        assert "did not answer" in ran.err
        assert PERHAPS not in ran.err
    body = b'{"error":{"message":"The database did not answer.","code":"unavailable"}}'
    for answer in (b"<h1>Bad Gateway</h1>", body):
        ran = ask(gateway(answer, "504 Gateway Time-out"), "institution", "create", "uni")
        assert PERHAPS in ran.err
        assert ran.err.count("\n") == 1


def test_nothing_was_done_where_nobody_was_reached(run: Run) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    ran = run("--url", url, "institution", "create", "uni", QUANTIZED_ADMIN_KEY=KEY)
    assert ran.err.startswith(f"Error: cannot reach the gateway at {url}: ")
    assert "may have been done" not in ran.err


def test_an_act_is_named_once_and_no_question_is(gateway: Gateway, ask: Ask) -> None:
    peer = gateway(OLD)
    for _ in range(2):
        assert ask(peer, "key", "activate", "key-1").status == 0
    assert ask(peer, "key", "show", "key-1").status == 0
    first, second, question = peer.header("idempotency-key")
    assert first
    assert second
    assert first != second
    assert question == ""


def test_a_secret_that_went_with_a_lost_answer_is_not_shown_as_nothing(gateway: Gateway, ask: Ask) -> None:
    peer = gateway(NEW, "201 Created", "idempotent-replayed: true")
    ran = ask(peer, "key", "create", "l")
    assert ran.status == 1
    assert "this was done when it was first sent, and the answer was lost" in ran.err
    # What has no secret is answered as it was.
    assert ask(gateway(OLD, "200 OK", "idempotent-replayed: true"), "key", "activate", "key-1").status == 0


def test_what_is_meant_anyway_is_not_said(gateway: Gateway, ask: Ask, folder: Path) -> None:
    (folder / "bio.csv").write_text("id\nann\n")
    peer = gateway(b"{}")
    ask(peer, "roster", "import", "bio.csv", "--type", "uni/student", "--link-days", "14", "--remove-most")
    assert json.loads(peer.bodies[0]) == {
        "roster": "bio",
        "csv": "id\nann\n",
        "license_type": "uni/student",
        "removes_most": True,
    }
    # What is taken away is said.
    with pytest.raises(ClickException, match="it was done"):
        RemoteAdministration(peer.url, KEY).do(ROOT, UpdateLicenseType(license_type="t", retention_days=None))
    assert json.loads(peer.bodies[1]) == {"retention_days": None}


def test_what_a_gateway_says_reaches_no_terminal_as_it_is(gateway: Gateway, ask: Ask) -> None:
    body = json.dumps({"error": {"message": "No \x1b[2J.\n  line 2: \x9b1m", "code": "x"}}).encode()
    ran = ask(gateway(body, "409 Conflict"), "institution", "create", "uni")
    assert ran.err == "Error: no \\x1b[2J.\n  line 2: \\x9b1m\n"
