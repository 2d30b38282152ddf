"""The laws that chaos is judged by: they hold for a round that is in order, and name whatever is not."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest
from chaos.books import Round
from chaos.crowd import Attempt, Customer
from chaos.laws import broken
from chaos.upstream import Arrival

ANN = Customer("license", "key-ann", "")
BOB = Customer("license", "key-bob", "")


@dataclass
class Played:
    """A round of four requests: one answered, one refused, one whose process died, one cut and charged."""

    attempts: dict[str, Attempt] = field(
        default_factory=lambda: {
            "whole": Attempt("whole", ANN, True, 1.0, "answered", 200, "req-whole", True, 60, 940),
            "poor": Attempt("poor", ANN, False, 2.0, "refused", 402, "req-poor"),
            "dead": Attempt("dead", BOB, True, 1.0, "cut", None, None),
            "cut": Attempt("cut", BOB, True, 2.0, "cut", 200, "req-cut", True),
        }
    )
    arrivals: dict[str, Arrival] = field(
        default_factory=lambda: {
            "whole": Arrival(1.1, 10, 5, told=True),
            "dead": Arrival(1.1, 10, 5),
            "cut": Arrival(2.1, 10, 5),
        }
    )
    books: Round = field(
        default_factory=lambda: Round(
            [hold("whole", ANN, 1050), hold("dead", BOB, 1050, "process died"), hold("cut", BOB, 2050)],
            [record("whole", ANN), record("cut", BOB)],
            [charge("whole"), charge("cut")],
        )
    )
    unsettled: list[str] = field(default_factory=lambda: ["hold-dead"])

    def findings(self) -> list[str]:
        return list(broken([*self.attempts.values()], self.arrivals, self.books, self.unsettled))


def hold(name: str, customer: Customer, at: int, reason: str | None = None) -> dict[str, Any]:
    state = "released" if reason else "settled"
    row = {"id": f"hold-{name}", "request_id": f"req-{name}", "key_id": customer.key_id, "taken_at": at}
    return row | {"state": state, "reason": reason}


def record(name: str, customer: Customer) -> dict[str, Any]:
    row = {"hold_id": f"hold-{name}", "request_id": f"req-{name}", "key_id": customer.key_id}
    numbers = {"charged": 60, "price": 60, "remaining": 940, "input": 10, "output": 5, "estimated": False}
    return row | numbers | {"upstream_id": f"gen-{name}"}


def charge(name: str) -> dict[str, Any]:
    return {"hold_id": f"hold-{name}", "request_id": f"req-{name}", "amount": 60}


def test_a_round_that_is_in_order_breaks_no_law() -> None:
    assert Played().findings() == []


Wrong = Callable[[Played], object]
WRONGS: dict[str, Wrong] = {
    "a hold is open": lambda it: it.books.holds[1].update(state="open"),
    "a settled hold has 0 charges": lambda it: (it.books.usage.pop(), it.books.charges.pop()),
    "charges": lambda it: it.books.charges[0].update(amount=61),
    "without their hold": lambda it: it.books.holds.pop(0),
    "an answer has 0 records": lambda it: (it.books.usage.pop(0), it.books.charges.pop(0)),
    "an answer said": lambda it: setattr(it.attempts["whole"], "remaining", 941),
    "an answer said (60": lambda it: setattr(it.arrivals["whole"], "output", 4),
    "a refusal has a charge": lambda it: setattr(it.attempts["poor"], "request_id", "req-cut"),
    "the provider was asked for who was refused": lambda it: it.arrivals.update(poor=Arrival(2.1, 1, 1)),
    "content was free": lambda it: (
        it.books.usage.pop(),
        it.books.charges.pop(),
        it.books.holds[2].update(state="released", reason="cut"),
    ),
    "a charge of what the provider never saw": lambda it: it.arrivals.pop("cut"),
    "a charge of two requests": lambda it: it.books.usage[1].update(upstream_id="gen-dead"),
    "a charge of somebody else's request": lambda it: it.books.usage[1].update(key_id="key-ann"),
    "a charge of other usage than reported": lambda it: it.books.usage[1].update(input=9),
    "2 charges of one request": lambda it: (
        it.books.holds.append(hold("more", BOB, 2060)),
        it.books.usage.append(record("more", BOB) | {"upstream_id": "gen-cut"}),
        it.books.charges.append(charge("more")),
    ),
    "the provider was asked with the holds []": lambda it: setattr(it.attempts["cut"], "request_id", "req-x"),
    "the provider was asked before the hold": lambda it: it.books.holds[2].update(taken_at=2200),
    "the provider was asked without a hold": lambda it: it.books.holds[1].update(taken_at=1200),
    "`ledger unsettled`": lambda it: it.unsettled.clear(),
}


@pytest.mark.parametrize("law", WRONGS)
def test_what_is_not_in_order_is_named(law: str) -> None:
    played = deepcopy(Played())
    WRONGS[law](played)
    assert any(found.startswith(law) for found in played.findings()), played.findings()


def test_a_charge_without_any_name_is_of_a_request_that_was_under_way_at_its_time() -> None:
    played = Played()
    played.attempts["cut"].request_id = None
    played.books.usage[1]["upstream_id"] = None
    assert played.findings() == []
    played.books.holds[2]["taken_at"] = 2200
    found = played.findings()
    assert any(law.startswith("a charge of what the provider never saw") for law in found), found
