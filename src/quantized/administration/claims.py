"""A one-time link, used: its person is shown a key that did not exist before and is kept nowhere."""

from quantized.administration.acting import Done
from quantized.administration.faults import Conflict, NotThere
from quantized.administration.roster_handing import new_key
from quantized.administration.roster_records import ClaimedKey, ClaimRecord
from quantized.administration.words import iso_time
from quantized.auth import api_key
from quantized.storage.desk import LICENSE, Session
from quantized.storage.roster_rows import ClaimLink


def claim(session: Session, secret: str, now: int, public_url: str) -> tuple[ClaimLink, Done[ClaimedKey]]:
    """Raises NotThere for a link that never was, and Conflict (`code` "used", "expired", "withdrawn") for one
    that works no more, or ("ended", "stopped") whose key would not work; the link stays what it is then."""
    rows = session.rosters
    link = rows.link_by_digest(api_key.digest(secret))
    if link is None:
        raise NotThere("link", "")
    if link.claimed_at is not None:
        raise Conflict(f"This link was used on {iso_time(link.claimed_at)[:10]}.", code="used")
    person = rows.person(link.roster_id, link.person)
    if link.withdrawn_at is not None or person is None or not person.active:
        raise Conflict("This link was withdrawn.", code="withdrawn")
    if link.expires_at <= now:
        raise Conflict(f"This link expired on {iso_time(link.expires_at)[:10]}.", code="expired")
    if person.expires_at is not None and person.expires_at <= now:
        raise Conflict(f"Your access ended on {iso_time(person.expires_at)[:10]}.", code="ended")
    account = session.find(LICENSE, person.license_id, None)
    if not account.active:
        raise Conflict("Your access is stopped.", code="stopped")
    minted = api_key.mint_key()
    key = new_key(person, minted, now)
    rows.add_keys([(key, api_key.digest(minted))])
    rows.claim(link.id, key.id, now)
    answer = ClaimedKey(
        minted,
        person.name,
        f"{public_url}/v1",
        None if person.expires_at is None else iso_time(person.expires_at),
    )
    after = ClaimRecord(person=person.person, roster_id=link.roster_id, license_id=account.id, key_id=key.id)
    return link, Done(answer, "key", key.id, account.institution_id, None, after)
