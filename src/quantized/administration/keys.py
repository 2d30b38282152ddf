"""API keys of licences, and the keys of administrators."""

from typing import Any

from msgspec.structs import asdict, replace

from quantized.administration import verbs as v
from quantized.administration import views
from quantized.administration.acting import Acting, Done, page, said
from quantized.administration.faults import Conflict, Forbidden, Unfit
from quantized.administration.records import (
    AdminKeyRecord,
    KeyRecord,
    NewAdminKeyRecord,
    NewKeyRecord,
    Page,
)
from quantized.administration.words import LONGEST_GRACE, in_future, iso_time
from quantized.auth import admin_key, api_key
from quantized.core.ids import mint_id
from quantized.storage.desk import ADMIN_KEY, INSTITUTION, KEY, LICENSE, Kind
from quantized.storage.desk_rows import AdminKey
from quantized.storage.directory_rows import Key


def list_keys(acting: Acting, verb: v.ListKeys) -> Page[KeyRecord]:
    owner = None if verb.license is None else acting.find(LICENSE, verb.license).id
    rows, following = acting.listed(KEY, verb, verb.institution, license_id=owner, active=verb.active)
    return page([views.key(row) for row in rows], following)


def show_key(acting: Acting, verb: v.ShowKey) -> KeyRecord:
    return views.key(acting.find(KEY, verb.key))


def create_key(acting: Acting, verb: v.CreateKey) -> Done[NewKeyRecord]:
    owner = acting.find(LICENSE, verb.license)
    secret = api_key.mint_key()
    row = Key(
        id=mint_id("key", acting.now),
        license_id=owner.id,
        prefix=api_key.display_prefix(secret),
        name=verb.name,
        active=True,
        expires_at=in_future(verb.expires_at, acting.now, "expires_at"),
        user_id=verb.user_id,
        created_at=acting.now,
        rotated_from=None,
    )
    record = views.key(acting.session.add_key(row, api_key.digest(secret)))
    answer = NewKeyRecord(**asdict(record), api_key=secret)
    return Done(answer, "key", row.id, owner.institution_id, None, record)


def update_key(acting: Acting, verb: v.UpdateKey) -> Done[KeyRecord]:
    old = acting.find(KEY, verb.key)
    owner = acting.find(LICENSE, old.license_id)
    new = views.key(acting.session.set(KEY, old.id, **said(name=verb.name, active=verb.active)))
    return Done(new, "key", old.id, owner.institution_id, views.key(old), new)


def rotate_key(acting: Acting, verb: v.RotateKey) -> Done[NewKeyRecord]:
    old = acting.find(KEY, verb.key)
    owner = acting.find(LICENSE, old.license_id)
    if old.kind == "token":
        raise Conflict(
            f"Key {old.id} stands for a signed token, which its institution replaces by signing another.",
            code="signed_token",
        )
    _require_rotatable(acting, KEY, old)
    secret = api_key.mint_key()
    new = replace(
        old,
        id=mint_id("key", acting.now),
        prefix=api_key.display_prefix(secret),
        created_at=acting.now,
        rotated_from=old.id,
    )
    record = views.key(acting.session.add_key(new, api_key.digest(secret)))
    ended = acting.session.set(KEY, old.id, **_ending(old, acting.now, verb.grace_seconds))
    answer = NewKeyRecord(**asdict(record), api_key=secret)
    of_old = Done(record, "key", old.id, owner.institution_id, views.key(old), views.key(ended))
    return Done(answer, "key", new.id, owner.institution_id, views.key(old), record, also=(of_old,))


def list_admin_keys(acting: Acting, verb: v.ListAdminKeys) -> Page[AdminKeyRecord]:
    rows, following = acting.listed(ADMIN_KEY, verb, verb.institution, active=verb.active)
    return page([views.admin_key(row) for row in rows], following)


def show_admin_key(acting: Acting, verb: v.ShowAdminKey) -> AdminKeyRecord:
    return views.admin_key(acting.find(ADMIN_KEY, verb.admin_key))


def create_admin_key(acting: Acting, verb: v.CreateAdminKey) -> Done[NewAdminKeyRecord]:
    if verb.role == "operator" and verb.institution is not None:
        raise Unfit("institution", "an operator has none")
    if verb.role == "institution_admin" and verb.institution is None:
        raise Unfit("institution", "say which one this admin is bounded by")
    scope = None if verb.institution is None else acting.find(INSTITUTION, verb.institution).id
    secret = admin_key.mint_admin_key()
    row = AdminKey(
        id=mint_id("adm", acting.now),
        prefix=admin_key.display_prefix(secret),
        name=verb.name,
        role=verb.role,
        institution_id=scope,
        active=True,
        expires_at=in_future(verb.expires_at, acting.now, "expires_at"),
        created_by=acting.actor.id,
        created_at=acting.now,
        rotated_from=None,
    )
    record = views.admin_key(acting.session.add_admin_key(row, api_key.digest(secret)))
    answer = NewAdminKeyRecord(**asdict(record), admin_key=secret)
    return Done(answer, "admin key", row.id, scope, None, record)


def update_admin_key(acting: Acting, verb: v.UpdateAdminKey) -> Done[AdminKeyRecord]:
    old = acting.find(ADMIN_KEY, verb.admin_key)
    changes = said(name=verb.name, active=verb.active)
    new = views.admin_key(acting.session.set(ADMIN_KEY, old.id, **changes))
    return Done(new, "admin key", old.id, old.institution_id, views.admin_key(old), new)


def rotate_admin_key(acting: Acting, verb: v.RotateAdminKey) -> Done[NewAdminKeyRecord]:
    old = acting.find(ADMIN_KEY, verb.admin_key)
    if acting.actor.role != "operator" and acting.actor.id != old.id:
        raise Forbidden("Only an operator rotates another's admin key.")
    _require_rotatable(acting, ADMIN_KEY, old)
    _require_no_other(acting, old)
    secret = admin_key.mint_admin_key()
    new = replace(
        old,
        id=mint_id("adm", acting.now),
        prefix=admin_key.display_prefix(secret),
        created_by=acting.actor.id,
        created_at=acting.now,
        rotated_from=old.id,
    )
    record = views.admin_key(acting.session.add_admin_key(new, api_key.digest(secret)))
    ended = acting.session.set(ADMIN_KEY, old.id, **_ending(old, acting.now, verb.grace_seconds))
    answer = NewAdminKeyRecord(**asdict(record), admin_key=secret)
    before = views.admin_key(old)
    of_old = Done(record, "admin key", old.id, old.institution_id, before, views.admin_key(ended))
    return Done(answer, "admin key", new.id, old.institution_id, before, record, also=(of_old,))


def _require_rotatable(acting: Acting, kind: Kind[Any], old: Key | AdminKey) -> None:
    """Raises Conflict where the key does not work, or another has come in its place already."""
    if not old.works(acting.now):
        raise Conflict(
            f"Key {old.id} is deactivated or has expired; create another instead of rotating it.",
            code="key_not_working",
        )
    if acting.session.has_successor(kind, old.id):
        raise Conflict(
            f"Another key has come in the place of {old.id} already; rotate that one.", code="already_rotated"
        )


def _require_no_other(acting: Acting, old: AdminKey) -> None:
    """Raises Conflict while the key in whose place this one came works on: by rotating, nobody has more than
    two admin keys."""
    if old.rotated_from is None:
        return
    before = acting.find(ADMIN_KEY, old.rotated_from)
    if before.works(acting.now):
        until = "" if before.expires_at is None else f" until {iso_time(before.expires_at)}"
        raise Conflict(
            f"Key {before.id}, in whose place this one came, works on{until}; it has to end first.",
            code="predecessor_works",
        )


def _ending(old: Key | AdminKey, now: int, grace_seconds: int) -> dict[str, object]:
    """What becomes of a key in whose place another has come. Raises Unfit."""
    if grace_seconds > LONGEST_GRACE:
        raise Unfit("grace_seconds", f"a replaced key works on for {LONGEST_GRACE} seconds at most")
    if grace_seconds == 0:
        return {"active": False}
    until = now + grace_seconds * 1_000
    return {"expires_at": until if old.expires_at is None else min(until, old.expires_at)}
