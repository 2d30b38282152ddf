"""One request: a hold, an upstream call and an end, and what can be said twice, late or wrongly."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from quantized.core.errors import Fault, LedgerUnavailable
from quantized.core.limits import Limits
from quantized.core.ports import Charge, Hold, HoldOrder, Outcome, Receipt
from quantized.core.usage import Usage
from quantized.ledger.verbs import LedgerMisuse

if TYPE_CHECKING:
    from simulation.world import Gateway, World

LONG, SHORT = 900_000, 6_000
"""Milliseconds after which a hold expires: later than any request is over, or earlier than some are."""

LIMITS = Limits(parallel_requests=3)
CAP = 150
"""What each user who has an allowance may use of a licence."""

_NOT_TEXT = "\ud800"
"""What no database takes for text."""

_Refused = (Fault, LedgerMisuse)


class Client:
    def __init__(self, world: "World", gateway: "Gateway", number: int) -> None:
        self._world = world
        self._random = world.random
        self._gateway = gateway
        self._name = f"hold-{number}"
        wanted = self._random.randint(0, 60)
        lifetime = SHORT if self._happens(world.plan.short_holds) else LONG
        now = gateway.clock.now_ms()
        self._order = HoldOrder(
            id=self._name,
            license_id=self._random.choice(list(world.auditor.model.accounts)),
            wanted=wanted,
            minimum=self._random.randint(0, wanted),
            taken_at=now,
            expires_at=now + lifetime,
            request_id=f"req-{number}",
            key_id=gateway.process.name,
            provider="demo",
            model="quantized/demo",
            limits=LIMITS if self._happens(0.2) else None,
        )
        if self._happens(0.3):
            self._order = replace(self._order, user_id=self._random.choice(("ann", "bob")), user_cap=CAP)
        self._price = self._random.choice([0, wanted // 2, wanted, wanted + 1, 3 * wanted])
        self._seconds = self._random.expovariate(1 / self._random.choice([0.01, 1.0, 8.0]))

    def begin(self) -> None:
        gateway = self._gateway
        task = self._world.start(gateway.process, self._live())
        gateway.requests[task] = None
        task.add_done_callback(gateway.requests.pop, context=gateway.process.context)
        if self._happens(self._world.plan.impatient):
            patience = self._random.choice([0.0, self._random.random() * 0.1, self._random.random() * 5])
            gateway.process.context.run(self._world.loop.call_later, patience, task.cancel)

    async def _live(self) -> None:
        try:
            hold = await self._hold()
        except asyncio.CancelledError:
            self._trace("leaves before it is held", self._name)
            self._unheard(self._gateway.ledger.release(self._name, "client_left"))
            return
        except _Refused as refusal:
            self._trace("is refused", self._name, type(refusal).__name__)
            return
        self._world.auditor.told_held(self._order, hold)
        self._trace("is held", self._name, hold.amount)
        try:
            await asyncio.sleep(min(self._seconds, 25.0))
        except asyncio.CancelledError:
            self._leave()
            return
        self._world.auditor.still_held(self._order)
        if self._happens(0.1):
            await self._release()
        else:
            await self._settle()

    async def _hold(self) -> Hold:
        ledger = self._gateway.ledger
        if self._happens(self._world.plan.confused):
            self._unheard(ledger.settle(self._charge(hold_id=f"nothing-{self._name}")))
        try:
            return await ledger.hold(self._order)
        except LedgerUnavailable:
            if not self._happens(self._world.plan.repeated):
                raise
        self._trace("asks again", self._name)
        return await ledger.hold(self._order)

    def _leave(self) -> None:
        if self._happens(0.5):
            self._trace("leaves before anything came", self._name)
            self._unheard(self._gateway.ledger.release(self._name, "client_left"))
        else:
            self._trace("leaves in the middle", self._name)
            self._unheard(self._say_settle(self._charge(price=self._price // 2, outcome="client_left")))

    async def _release(self) -> None:
        ledger = self._gateway.ledger
        with suppress(LedgerUnavailable, asyncio.CancelledError):
            saying = ledger.release(self._name, "upstream failed")
            if self._happens(self._world.plan.repeated):
                self._unheard(ledger.release(self._name, "upstream failed"))
            await saying
        self._trace("is released", self._name)
        self._perhaps_later()

    async def _settle(self) -> None:
        if self._happens(self._world.plan.confused):
            self._unheard(self._gateway.ledger.settle(self._charge(license_id="small-0")))
        charge = self._charge()
        if self._happens(self._world.plan.poisoned):
            charge = replace(charge, user_id=_NOT_TEXT)
        saying = self._say_settle(charge)
        while self._happens(self._world.plan.repeated):
            self._unheard(self._any_end())
        try:
            self._told(await saying)
        except asyncio.CancelledError:
            self._trace("leaves at the end", self._name)
        except _Refused as refusal:
            self._trace("is not told its receipt", self._name, type(refusal).__name__)
        self._perhaps_later()

    def _say_settle(self, charge: Charge) -> Awaitable[Receipt]:
        saying = self._gateway.ledger.settle(charge)
        refused = isinstance(saying, asyncio.Future) and saying.done()
        if not refused:
            self._gateway.said[charge.hold_id] = charge
        return saying

    def _any_end(self) -> Awaitable[Any]:
        """Said again, or what was said is contradicted: only the first end counts."""
        ledger = self._gateway.ledger
        match self._random.randrange(3):
            case 0:
                return ledger.settle(self._charge())
            case 1:
                return ledger.settle(self._charge(price=self._random.randint(0, 100)))
            case _:
                return ledger.release(self._name, "second thoughts")

    def _perhaps_later(self) -> None:
        if self._happens(self._world.plan.repeated):
            seconds = self._random.choice([0.01, 1.0, 20.0]) * self._random.random()
            self._world.start(self._world.home, self._later(seconds))

    async def _later(self, seconds: float) -> None:
        """Somebody else says an end again, when it is long over, or while the first is still on its way."""
        await asyncio.sleep(seconds)
        gateway = self._world.anyone()
        if gateway is not None:
            self._world.start(gateway.process, self._again(gateway))

    async def _again(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        try:
            if self._happens(0.3):
                await gateway.ledger.release(self._name, "late")
            else:
                self._told(await gateway.ledger.settle(self._charge(price=self._random.randint(0, 100))))
        except _Refused as refusal:
            self._trace("says it again in vain", self._name, type(refusal).__name__)

    def _told(self, receipt: Receipt) -> None:
        self._world.auditor.told_receipt(self._name, receipt)
        self._trace("is told", self._name, receipt.charged, receipt.overrun, receipt.remaining)

    def _charge(
        self,
        *,
        hold_id: str | None = None,
        license_id: str | None = None,
        price: int | None = None,
        outcome: Outcome = "completed",
    ) -> Charge:
        return Charge(
            hold_id=hold_id or self._name,
            request_id=self._order.request_id,
            license_id=license_id or self._order.license_id,
            key_id=self._gateway.process.name,
            user_id=None,
            surface="chat",
            provider="demo",
            model="quantized/demo",
            upstream_id='gen-"ü\n',
            usage=Usage(input=1, output=3),
            price=self._price if price is None else price,
            estimated=self._happens(0.5),
            provider_cost=None,
            outcome=outcome,
            started_at=self._order.taken_at,
            first_byte_ms=None,
            duration_ms=12,
            limits=self._order.limits,
            user_cap=self._order.user_cap,
        )

    def _unheard(self, saying: Awaitable[Any]) -> None:
        """Said, and nobody waits for what comes of it."""
        self._world.start(self._gateway.process, _ignored(saying))

    def _happens(self, chance: float) -> bool:
        return chance > 0 and self._random.random() < chance

    def _trace(self, *what: object) -> None:
        self._world.trace(self._gateway.process, *what)


async def _ignored(saying: Awaitable[Any]) -> None:
    with suppress(*_Refused):
        await saying
