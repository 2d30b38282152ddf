"""Stored conversations for the rows that continue one."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path

from bench.contenders import INSTANT, JSON_TOKENS, RESPONSES, Contender
from bench.gateway import Ledger
from bench.machine import HERE

_COPIES = """
WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?)
INSERT INTO response (id, license_id, hold_id, created_at, expires_at, answer, context, input)
SELECT id || '-' || n, license_id, hold_id, created_at, expires_at, answer, context, input
FROM response, number WHERE id = ?
"""


def converse(contender: Contender, ledger: Ledger, turns: int) -> str:
    """The id of the last response of a conversation of so many turns; any where nothing is stored."""
    previous = "resp-none"
    if not contender.metered:
        return previous
    body = json.loads((HERE / RESPONSES.body).read_text())
    headers = {"Content-Type": "application/json", **contender.headers}
    with closing(HTTPConnection("127.0.0.1", contender.ports[INSTANT.name])) as connection:
        for _ in range(turns):
            connection.request("POST", RESPONSES.path, json.dumps(body), headers)
            answer = json.loads(connection.getresponse().read())
            previous = body["previous_response_id"] = answer["id"]
    ledger.note(JSON_TOKENS, turns)
    return previous


@contextmanager
def among_others(database: Path, response_id: str, count: int) -> Iterator[None]:
    """So many other responses are stored meanwhile: copies of this one."""
    with closing(sqlite3.connect(database)) as connection:
        with connection:
            connection.execute(_COPIES, (count, response_id))
        yield
        with connection:
            connection.execute("DELETE FROM response WHERE id LIKE ? || '-%'", (response_id,))
