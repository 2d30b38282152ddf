"""What was charged for a request, looked up by whatever name somebody has for it."""

from contextlib import closing

from msgspec import Struct

from quantized.storage.database import DatabaseUnusable, database

_BUSY_SECONDS = 2.0
_CHARGED = "SELECT hold_id, request_id, license_id FROM usage_record WHERE hold_id IN (?, ?)"


class ChargedRequest(Struct, frozen=True):
    hold_id: str
    request_id: str
    license_id: str


def find_charge(url: str, name: str) -> ChargedRequest | None:
    """What was charged for a request, by its id or its hold's. Raises DatabaseUnusable."""
    # A gateway's hold has the digits of its request, so that no index of requests is needed.
    candidates = (name, f"hold-{name.removeprefix('req-')}")
    way = database(url)
    with closing(way.connect_at_leisure(_BUSY_SECONDS)) as connection:
        try:
            rows = connection.execute(way.statement(_CHARGED), candidates).fetchall()
        except way.errors as error:
            raise DatabaseUnusable(f"the database did not answer: {error}") from error
    charges = (ChargedRequest(*row) for row in rows)
    return next((charge for charge in charges if name in (charge.hold_id, charge.request_id)), None)
