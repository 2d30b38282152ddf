"""Institutions and the public keys that their tokens are signed with."""

from msgspec.structs import replace

from quantized.administration import cursors, views
from quantized.administration import verbs as v
from quantized.administration.acting import Acting, Done, page, said
from quantized.administration.faults import Unfit
from quantized.administration.records import InstitutionRecord, Page, PublicKeyRecord, RevokedTokenRecord
from quantized.administration.words import in_future
from quantized.auth.public_keys import UnfitKey, read_public_key
from quantized.core.ids import mint_id
from quantized.storage.desk import INSTITUTION, PUBLIC_KEY
from quantized.storage.desk_rows import RevokedToken
from quantized.storage.directory_rows import PublicKey

_REVOKED = "revoked tokens"


def list_institutions(acting: Acting, verb: v.ListInstitutions) -> Page[InstitutionRecord]:
    rows, following = acting.listed(INSTITUTION, verb)
    return page([views.institution(row) for row in rows], following)


def show_institution(acting: Acting, verb: v.ShowInstitution) -> InstitutionRecord:
    return views.institution(acting.find(INSTITUTION, verb.institution))


def create_institution(acting: Acting, verb: v.CreateInstitution) -> Done[InstitutionRecord]:
    row = acting.session.add_institution(verb.alias, verb.name or verb.alias, acting.now)
    record = views.institution(row)
    return Done(record, "institution", row.id, row.id, None, record)


def update_institution(acting: Acting, verb: v.UpdateInstitution) -> Done[InstitutionRecord]:
    old = acting.find(INSTITUTION, verb.institution)
    new = views.institution(acting.session.set(INSTITUTION, old.id, **said(name=verb.name)))
    return Done(new, "institution", old.id, old.id, views.institution(old), new)


def list_revoked_tokens(acting: Acting, verb: v.ListRevokedTokens) -> Page[RevokedTokenRecord]:
    after = cursors.read(verb.cursor, _REVOKED, tuple[int, str, str])
    rows = acting.session.revoked_page(acting.narrowed(verb.institution), after, verb.limit + 1)
    shown = rows[: verb.limit]
    following = None
    if len(rows) > verb.limit:
        last = shown[-1]
        following = cursors.write(_REVOKED, (last.revoked_at, last.institution_id, last.jti))
    return page([views.revoked_token(row) for row in shown], following)


def revoke_token(acting: Acting, verb: v.RevokeToken) -> Done[RevokedTokenRecord]:
    owner = acting.find(INSTITUTION, verb.institution)
    old = acting.session.revoked_token(owner.id, verb.jti)
    new = old or RevokedToken(owner.id, verb.jti, verb.reason, acting.now)
    if old is None:
        acting.session.revoke_token(new)
    record = views.revoked_token(new)
    before = None if old is None else record
    return Done(record, "signed token", verb.jti, owner.id, before, record, verb.reason)


def list_public_keys(acting: Acting, verb: v.ListPublicKeys) -> Page[PublicKeyRecord]:
    rows, following = acting.listed(PUBLIC_KEY, verb, verb.institution, active=verb.active)
    return page([views.public_key(row) for row in rows], following)


def show_public_key(acting: Acting, verb: v.ShowPublicKey) -> PublicKeyRecord:
    return views.public_key(acting.find(PUBLIC_KEY, verb.public_key))


def create_public_key(acting: Acting, verb: v.CreatePublicKey) -> Done[PublicKeyRecord]:
    owner = acting.find(INSTITUTION, verb.institution)
    try:
        given = read_public_key(verb.key)
    except UnfitKey as error:
        raise Unfit("key", str(error)) from error
    row = PublicKey(
        id=mint_id("pub", acting.now),
        institution_id=owner.id,
        kid=verb.kid or given.kid,
        pem=given.pem,
        active=True,
        created_at=acting.now,
        expires_at=in_future(verb.expires_at, acting.now, "expires_at"),
    )
    record = views.public_key(acting.session.add_public_key(row))
    return Done(record, "public key", row.id, owner.id, None, record)


def update_public_key(acting: Acting, verb: v.UpdatePublicKey) -> Done[PublicKeyRecord]:
    old = acting.find(PUBLIC_KEY, verb.public_key)
    changes = said(active=verb.active, expires_at=verb.expires_at)
    if isinstance(verb.expires_at, str):
        changes["expires_at"] = in_future(verb.expires_at, acting.now, "expires_at")
    if replace(old, **changes).works(acting.now) and not old.works(acting.now):
        acting.session.require_room(old.institution_id, acting.now)
    new = views.public_key(acting.session.set(PUBLIC_KEY, old.id, **changes))
    return Done(new, "public key", old.id, old.institution_id, views.public_key(old), new)
