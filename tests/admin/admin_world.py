"""Two institutions that must not see each other, and a gateway's administration served over a socket."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import httpx
from starlette.applications import Starlette

from quantized.admin.claim_page import ClaimPage
from quantized.admin.pool import AdminPool
from quantized.admin.routes import AdminRoutes
from quantized.administration import roster_verbs as rv
from quantized.administration import verbs as v
from quantized.administration.actor import Actor, command_line
from quantized.administration.administration import Administration
from quantized.administration.port import Administering
from quantized.clock import SystemClock
from quantized.core.ports import Charge, HoldOrder
from quantized.core.usage import Usage
from quantized.gateway.journal import Journal
from quantized.http.connection import ClientConnection
from quantized.http.edge import Edge
from quantized.ledger.rules import Book
from quantized.storage.records import Changes, Needs, Rows
from quantized.storage.stores import ledger_store

CLOCK = SystemClock()
ROOT: Actor = command_line("root", "here")
CREDITS = 1_000_000

RAW_KEYS = {
    "ours": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    "theirs": "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw",
}
ANOTHER_KEY = "_FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU"


class Place(NamedTuple):
    """One institution and one of everything that is its own. `secrets` are admin keys by role."""

    name: str
    institution: str
    public_key: str
    license_type: str
    license: str
    key: str
    api_key: str
    request: str
    admin_key: str
    roster: str
    secrets: Mapping[str, str]

    @property
    def ids(self) -> set[str]:
        """What nobody else may see."""
        return {*self[1:6], self.request, self.admin_key, self.roster}


class World(NamedTuple):
    """`secrets` are of those who see everything, by role, and of keys that do not work any more."""

    ours: Place
    theirs: Place
    secrets: Mapping[str, str]


def furnish(url: str) -> World:
    desk = Administration(url, CLOCK)
    secrets = {
        role: desk.do(ROOT, v.CreateAdminKey(name=f"the {role}", role=role)).admin_key or ""
        for role in ("operator", "auditor")
    }
    stopped = desk.do(ROOT, v.CreateAdminKey(name="stopped", role="operator"))
    desk.do(ROOT, v.UpdateAdminKey(admin_key=stopped.admin_key_id, active=False))
    replaced = desk.do(ROOT, v.CreateAdminKey(name="replaced", role="operator"))
    desk.do(ROOT, v.RotateAdminKey(admin_key=replaced.admin_key_id))
    dead = {"stopped": stopped.admin_key or "", "replaced": replaced.admin_key or ""}
    return World(_place(url, desk, "ours"), _place(url, desk, "theirs"), secrets | dead)


def _place(url: str, desk: Administration, name: str) -> Place:
    owner = desk.do(ROOT, v.CreateInstitution(alias=name)).institution_id
    public_key = desk.do(
        ROOT, v.CreatePublicKey(institution=name, key=RAW_KEYS[name], kid=f"{name}-key")
    ).public_key_id
    license_type = desk.do(
        ROOT, v.CreateLicenseType(institution=name, alias="standard", default_micro_credits=CREDITS)
    ).license_type_id
    license_ = desk.do(
        ROOT, v.CreateLicense(license_type=license_type, unique_id=f"{name}-course")
    ).license_id
    key = desk.do(ROOT, v.CreateKey(license=license_, user_id=f"{name}-person"))
    request = use(url, license_, key.key_id, 1_000, user_id=f"{name}-person")
    roster = desk.do(
        ROOT, rv.ImportRoster(roster=f"{name}-roster", license=license_, csv=f"id\n{name}-student")
    )
    made = {
        role: desk.do(ROOT, v.CreateAdminKey(name=f"{name} {role}", role=role, institution=name))
        for role in ("institution_admin", "auditor")
    }
    return Place(
        name,
        owner,
        public_key,
        license_type,
        license_,
        key.key_id,
        key.api_key or "",
        request,
        made["institution_admin"].admin_key_id,
        roster.roster.roster_id if roster.roster else "",
        {role: row.admin_key or "" for role, row in made.items()},
    )


def use(url: str, license_id: str, key_id: str, price: int, *, user_id: str | None = None, n: int = 1) -> str:
    """A request that was charged: its id."""
    now = CLOCK.now_ms()
    hold_id = f"hold-{license_id[:8]}-{n}"
    request_id = f"req-{license_id[:8]}-{n}"
    order = HoldOrder(
        hold_id, license_id, price, price, now, now + 60_000, request_id, key_id, "demo", "quantized/demo"
    )
    charge = Charge(
        hold_id=hold_id,
        request_id=request_id,
        license_id=license_id,
        key_id=key_id,
        user_id=user_id,
        surface="chat",
        provider="demo",
        model="quantized/demo",
        upstream_id=None,
        usage=Usage(input=10, output=5),
        price=price,
        estimated=False,
        provider_cost=None,
        outcome="completed",
        started_at=now,
        first_byte_ms=1,
        duration_ms=2,
    )

    def decide(rows: Rows) -> Changes:
        book = Book(rows, now)
        book.hold(order)
        book.settle(charge)
        return book.changes

    with closing(ledger_store(url)) as store:
        store.transact(Needs(hold_ids=[hold_id], license_ids=[license_id]), decide, now_ms=now)
    return request_id


class Gateway:
    """The administration of one database as the gateway serves it, and a client of it."""

    def __init__(self, port: int, url: str, world: World, desk: Administration) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.database_url = url
        self.world = world
        self.desk = desk
        self.client = httpx.Client(base_url=self.base, verify=False, timeout=50)
        self.lines: list[Journal] = []

    def say(
        self, method: str, path: str, secret: str | None, body: Any = None, **more: Any
    ) -> httpx.Response:
        """A request under /admin/v1."""
        headers = {} if secret is None else {"authorization": f"Bearer {secret}"}
        headers |= more.pop("headers", {})
        return self.client.request(method, f"/admin/v1{path}", headers=headers, json=body, **more)

    def operate(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """As the operator; what was answered well."""
        answer = self.say(method, path, self.world.secrets["operator"], body, **more)
        assert answer.is_success, answer.text
        return answer.json()

    def told(self, request_id: str) -> list[Journal]:
        """The request's lines in the log, once there is one: the client may be ahead of it."""
        until = time.monotonic() + 25
        while not (lines := [line for line in self.lines if line.request_id == request_id]):
            assert time.monotonic() < until
            time.sleep(0.005)
        return lines

    def log(self) -> list[Any]:
        """The whole audit log, the oldest first."""
        rows: list[Any] = []
        page = self.desk.do(ROOT, v.ListAudit(limit=200))
        rows += page.data
        while page.next_cursor:
            page = self.desk.do(ROOT, v.ListAudit(limit=200, cursor=page.next_cursor))
            rows += page.data
        return rows[::-1]


class _State:
    def __init__(self) -> None:
        self.connections: set[Any] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.default_headers: list[tuple[bytes, bytes]] = []


class _App:
    """What connections ask for their requests' answers."""

    def __init__(self, edge: Edge) -> None:
        self.direct = edge.direct
        self.asgi = edge.asgi


@contextmanager
def served(open_: Callable[[], Administering], lines: list[Journal] | None = None) -> Iterator[int]:
    """The routes of administration behind the gateway's own edge and connections: the port."""
    # Links are used only where what is opened knows of them.
    pool: AdminPool[Any] = AdminPool(open_)
    told = [] if lines is None else lines
    routes = [*AdminRoutes(pool).routes(), *ClaimPage(pool).routes()]
    edge = Edge({}, Starlette(routes=routes), CLOCK, told.append)
    state = _State()
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    ports: list[int] = []

    def run() -> None:
        asyncio.set_event_loop(loop)
        app = _App(edge)
        server = loop.run_until_complete(
            loop.create_server(lambda: ClientConnection(app, state), "127.0.0.1", 0)
        )
        ports.append(server.sockets[0].getsockname()[1])
        ready.set()
        loop.run_forever()
        server.close()
        for connection in tuple(state.connections):
            connection.transport.abort()
        tasks = tuple(state.tasks)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(50)
    try:
        yield ports[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(50)
        pool.close()
