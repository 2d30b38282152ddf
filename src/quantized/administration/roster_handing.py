"""Keys, and links that show a key once, for the people of a roster."""

import secrets
from collections.abc import Set

from quantized.administration.acting import Acting
from quantized.administration.roster_records import CLAIM_PATH, Handed
from quantized.administration.roster_verbs import HandOut
from quantized.administration.words import iso_time
from quantized.auth import api_key
from quantized.core.ids import mint_id
from quantized.storage.directory_rows import Key
from quantized.storage.roster_rows import ClaimLink, Person, Roster

_DAY_MS = 86_400_000


def hand_out(
    acting: Acting, roster: Roster, people: list[Person], new: Set[str], what: HandOut, link_days: int
) -> list[Handed]:
    """A link or a key for each. Those who are `new` on the roster have none yet."""
    match what:
        case "nothing":
            return []
        case "links" | "keys":
            # Nobody has two ways to a key.
            names = [person.person for person in people if person.person not in new]
            acting.session.rosters.withdraw_links(roster.id, names, acting.now)
            return hand_link(acting, people, link_days) if what == "links" else _hand_keys(acting, people)


def hand_link(acting: Acting, people: list[Person], days: int) -> list[Handed]:
    expires_at = acting.now + days * _DAY_MS
    made: list[tuple[ClaimLink, bytes]] = []
    handed: list[Handed] = []
    for person in people:
        secret = secrets.token_urlsafe(32)
        until = expires_at if person.expires_at is None else min(expires_at, person.expires_at)
        link = ClaimLink(mint_id("link", acting.now), person.roster_id, person.person, acting.now, until)
        made.append((link, api_key.digest(secret)))
        handed.append(
            Handed(
                person=person.person,
                name=person.name,
                email=person.email,
                link=f"{acting.public_url}{CLAIM_PATH}{secret}",
                link_expires_at=iso_time(until),
            )
        )
    acting.session.rosters.add_links(made)
    return handed


def new_key(person: Person, secret: str, now: int) -> Key:
    return Key(
        id=mint_id("key", now),
        license_id=person.license_id,
        prefix=api_key.display_prefix(secret),
        name=person.name,
        active=True,
        expires_at=person.expires_at,
        user_id=person.person,
        created_at=now,
        rotated_from=None,
    )


def _hand_keys(acting: Acting, people: list[Person]) -> list[Handed]:
    made: list[tuple[Key, bytes]] = []
    handed: list[Handed] = []
    for person in people:
        secret = api_key.mint_key()
        key = new_key(person, secret, acting.now)
        made.append((key, api_key.digest(secret)))
        handed.append(
            Handed(person=person.person, name=person.name, email=person.email, key_id=key.id, api_key=secret)
        )
    acting.session.rosters.add_keys(made)
    return handed
