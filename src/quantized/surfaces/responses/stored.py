"""A stored response as it is read back, listed and deleted. `render.render` gives the response itself."""

from collections.abc import Mapping

from msgspec import Struct

from quantized.core.errors import InvalidValue, UnknownField
from quantized.core.turns import Turn
from quantized.surfaces.responses.answers import encode
from quantized.surfaces.responses.listing import DeletedResponse, InputItemList

MOST_LISTED = 100
_USUAL = 20
_KNOWN = ("limit", "order", "after")


class Page(Struct, frozen=True):
    """Which input items are wanted: `limit` many, the last first unless `ascending`, behind the one with the
    id `after`."""

    limit: int = _USUAL
    ascending: bool = False
    after: str | None = None


def response_of(item_id: str) -> str | None:
    """The response whose item this says it is; None for an id that is not made like ours."""
    parts = item_id.split("-")
    return f"resp-{parts[1]}" if len(parts) == 3 and parts[1] else None


def read_page(query: Mapping[str, str]) -> Page:
    """Raises UnknownField, InvalidValue."""
    for name in query:
        if name not in _KNOWN:
            raise UnknownField(
                f"Unknown parameter '{name[:64]}'. Known parameters here: {', '.join(_KNOWN)}.",
                param=name[:64],
                code="unknown_parameter",
            )
    order = query.get("order", "desc")
    if order not in ("asc", "desc"):
        raise _invalid("order", "expected 'asc' or 'desc'.")
    limit = query.get("limit", str(_USUAL))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 3 and 1 <= int(limit) <= MOST_LISTED):
        raise _invalid("limit", f"expected an integer from 1 to {MOST_LISTED}.")
    return Page(int(limit), order == "asc", query.get("after"))


def render_input_items(turn: Turn, page: Page) -> bytes:
    """The JSON body of one page. Raises InvalidValue where `page.after` is none of its items."""
    items = turn.input if page.ascending else turn.input[::-1]
    first = 0
    if page.after is not None:
        first = next((at + 1 for at, item in enumerate(items) if item.id == page.after), 0)
        if first == 0:
            raise _invalid("after", f"the response has no input item with the id '{page.after[:64]}'.")
    listed = items[first : first + page.limit]
    return encode(
        InputItemList(
            data=[item.json for item in listed],
            first_id=listed[0].id if listed else "",
            last_id=listed[-1].id if listed else "",
            has_more=first + page.limit < len(items),
        )
    )


def render_deleted(response_id: str) -> bytes:
    return encode(DeletedResponse(id=response_id))


def _invalid(name: str, why: str) -> InvalidValue:
    return InvalidValue(f"Invalid value for '{name}': {why}", param=name, code="invalid_value")
