"""Acts about rosters on a furnished gateway, and what came of them."""

import asyncio
import re
from typing import Any

import httpx
from admin_world import CLOCK, ROOT, Gateway

from quantized.administration import roster_verbs as rv
from quantized.administration import verbs as v
from quantized.administration.administration import Administration
from quantized.administration.roster_records import RosterImportRecord
from quantized.auth.authenticate import Authenticator
from quantized.core.errors import Unauthenticated
from quantized.storage.keys import SqlKeyStore

CREDIT = 1_000_000
DAY = 86_400_000
THREE = "id,name,credits\nann,Ann,2\nbob,Bob,\ncat,Cat,\n"


def said(gateway: Gateway, text: str, **more: Any) -> RosterImportRecord:
    return gateway.desk.do(ROOT, rv.ImportRoster(**{"roster": "bio", "csv": text} | more))


def first(gateway: Gateway, **more: Any) -> RosterImportRecord:
    return said(gateway, THREE, **{"license_type": "ours/standard"} | more)


def works(gateway: Gateway, key: str) -> bool:
    """Whether a gateway with nothing in its memory accepts the key."""

    async def ask() -> bool:
        store = SqlKeyStore(gateway.database_url, patience=20)
        try:
            await Authenticator(store, CLOCK, 0).authenticate(f"Bearer {key}")
        except Unauthenticated:
            return False
        finally:
            store.close()
        return True

    return asyncio.run(ask())


def licence(gateway: Gateway, reference: str) -> Any:
    return gateway.desk.do(ROOT, v.ShowLicense(license=reference))


def people(gateway: Gateway, **more: Any) -> dict[str, Any]:
    rows = gateway.desk.do(ROOT, rv.ListRosterPeople(roster="bio", **more)).data
    return {row.person: row for row in rows}


def counts(done: RosterImportRecord) -> tuple[int, int, int, int, int]:
    return done.added, done.changed, done.returned, done.removed, done.unchanged


def links(gateway: Gateway, **more: Any) -> dict[str, str]:
    """Where each person's is."""
    return {each.person: each.link or "" for each in first(gateway, hand_out="links", **more).handed}


def claimed(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    found = re.search(r"sk-quantized-[\w-]{43}", answer.text)
    assert found is not None, answer.text
    return found[0]


class _Ahead:
    def __init__(self, ms: int) -> None:
        self._ms = ms

    def now_ms(self) -> int:
        return CLOCK.now_ms() + self._ms

    def monotonic(self) -> float:
        return 0.0


def later(gateway: Gateway, ms: int) -> Administration:
    """The same administration some time from now."""
    return Administration(gateway.database_url, _Ahead(ms))
