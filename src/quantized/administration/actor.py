"""Who administers: a role, the institution it is bounded by, and from where."""

from typing import Literal, get_args

from msgspec import Struct

Role = Literal["operator", "institution_admin", "auditor"]
ROLES: tuple[Role, ...] = get_args(Role)
TERMINAL = "command line"


class Actor(Struct, frozen=True):
    """`id` is an admin key's, or `user@host` of a command line, and `name` what people call it.
    `institution_id` bounds all that is seen and touched; None is every institution. `origin` is an address or
    "command line". `signs` is what the ledger calls them, where that is not the id."""

    id: str
    name: str
    role: Role
    origin: str
    institution_id: str | None = None
    request_id: str | None = None
    signs: str | None = None


class Claimant(Struct, frozen=True):
    """Whoever has a one-time link, and so may do nothing but use it. `id` is the link's."""

    id: str
    origin: str
    request_id: str | None
    name: str = "one-time link"
    role: Literal["claimant"] = "claimant"


def command_line(user: str, host: str, signs: str | None = None) -> Actor:
    """Whoever can open the database may do everything to it."""
    return Actor(f"{user}@{host}", user, "operator", TERMINAL, signs=signs)
