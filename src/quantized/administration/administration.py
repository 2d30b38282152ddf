"""The verbs on a database: who may say what, one transaction each, with its entry in the audit log."""

import hmac
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, TypeVar

import msgspec

from quantized.administration import (
    allowances,
    audit,
    claims,
    institutions,
    keys,
    licenses,
    reports,
    rosters,
    types,
)
from quantized.administration import roster_verbs as rv
from quantized.administration import verbs as v
from quantized.administration.acting import Acting, Done
from quantized.administration.actor import TERMINAL, Actor, Claimant, Role
from quantized.administration.endpoints import BY_VERB, OPERATORS
from quantized.administration.faults import (
    Ambiguous,
    Conflict,
    Forbidden,
    IdempotencyMismatch,
    InvalidAdminKey,
    NotThere,
)
from quantized.administration.port import Repeat
from quantized.administration.roster_records import ClaimedKey
from quantized.auth.admin_key import PREFIX
from quantized.auth.api_key import digest
from quantized.core.errors import LedgerUnavailable
from quantized.core.ports import Clock
from quantized.storage import directory_faults
from quantized.storage.database import DatabaseUnusable
from quantized.storage.desk import TO_READ, Desk, Session
from quantized.storage.desk_rows import AuditRow, StoredAnswer

R = TypeVar("R")

_AUDIT_PAGE = 1_000
_TO_WRITE = 8

Act = Callable[[Acting, Any], Any]

_READS: Mapping[type[v.Verb[Any]], Act] = {
    v.ShowSelf: reports.show_self,
    v.ListInstitutions: institutions.list_institutions,
    v.ShowInstitution: institutions.show_institution,
    v.ListPublicKeys: institutions.list_public_keys,
    v.ShowPublicKey: institutions.show_public_key,
    v.ListRevokedTokens: institutions.list_revoked_tokens,
    v.ListLicenseTypes: types.list_license_types,
    v.ShowLicenseType: types.show_license_type,
    v.ListLicenses: licenses.list_licenses,
    v.ShowLicense: licenses.show_license,
    v.ListEntries: licenses.list_entries,
    v.ListAllowances: allowances.list_allowances,
    v.ListKeys: keys.list_keys,
    v.ShowKey: keys.show_key,
    rv.PlanRoster: rosters.plan_roster,
    rv.ListRosters: rosters.list_rosters,
    rv.ShowRoster: rosters.show_roster,
    rv.ListRosterPeople: rosters.list_people,
    v.ReadUsage: reports.read_usage,
    v.ListRequests: reports.list_requests,
    v.ListAudit: reports.list_audit,
    v.ListAdminKeys: keys.list_admin_keys,
    v.ShowAdminKey: keys.show_admin_key,
}
_WRITES: Mapping[type[v.Verb[Any]], Callable[[Acting, Any], Done[Any]]] = {
    v.CreateInstitution: institutions.create_institution,
    v.UpdateInstitution: institutions.update_institution,
    v.CreatePublicKey: institutions.create_public_key,
    v.UpdatePublicKey: institutions.update_public_key,
    v.RevokeToken: institutions.revoke_token,
    v.CreateLicenseType: types.create_license_type,
    v.UpdateLicenseType: types.update_license_type,
    v.CreateLicense: licenses.create_license,
    v.UpdateLicense: licenses.update_license,
    v.GrantCredits: licenses.grant_credits,
    v.AdjustCredits: licenses.adjust_credits,
    v.RefundCredits: licenses.refund_credits,
    v.SetAllowance: allowances.set_allowance,
    v.CreateKey: keys.create_key,
    v.UpdateKey: keys.update_key,
    v.RotateKey: keys.rotate_key,
    rv.ImportRoster: rosters.import_roster,
    rv.CreateLink: rosters.create_link,
    rv.CloseRoster: rosters.close_roster,
    v.CreateAdminKey: keys.create_admin_key,
    v.UpdateAdminKey: keys.update_admin_key,
    v.RotateAdminKey: keys.rotate_admin_key,
}


class Say:
    """Says verbs in one transaction."""

    def __init__(self, session: Session, actor: Actor, now: int, public_url: str = "") -> None:
        self._session = session
        self._actor = actor
        self._public_url = public_url
        self.now = now

    def __call__(self, verb: v.Verb[R]) -> R:
        """Raises as `Administration.do`; the transaction is of no use then."""
        endpoint = BY_VERB[type(verb)]
        _require(self._actor, endpoint.roles)
        beginning = _beginning(self._actor, reads=endpoint.method == "GET")
        acting = Acting(self._session, self._actor, self.now, self._public_url, beginning)
        if (write := _WRITES.get(type(verb))) is None:
            read: R = _READS[type(verb)](acting, verb)
            return read
        done = write(acting, verb)
        if not done.repeated:
            for each in (*done.also, done):
                last = self._session.last_audit()
                self._session.append_audit(audit.entry(self._actor, endpoint.name, each, self.now, last))
        answer: R = done.answer
        return answer


class Administration:
    """`administration.port.Administering` on a database. One transaction writes at a time."""

    def __init__(self, url: str, clock: Clock, *, kept: int = 0, public_url: str = "") -> None:
        """`kept` is how many connections stay open between acts, `public_url` where people reach the gateway.
        Raises DatabaseUnusable for a URL that cannot work."""
        self._desk = Desk(url, kept)
        self._clock = clock
        self._public_url = public_url

    def do(self, actor: Actor, verb: v.Verb[R], repeat: Repeat | None = None) -> R:
        endpoint = BY_VERB[type(verb)]
        _require(actor, endpoint.roles)
        with _faults():
            if endpoint.method == "GET":
                with self._desk.reading() as session:
                    return self._say(session, actor)(verb)
            with self._desk.writing() as session:
                return self._write(session, actor, verb, repeat)

    def actor(self, secret: str, origin: str, request_id: str | None) -> Actor:
        if not (secret.startswith(PREFIX) and secret.isascii()):
            raise InvalidAdminKey(cause="not an admin key of ours")
        key_digest = digest(secret)
        with _faults(), self._desk.reading() as session:
            found = session.admin_key_by_digest(key_digest)
        if found is None or not hmac.compare_digest(found[1], key_digest):
            raise InvalidAdminKey(cause="unknown admin key")
        key = found[0]
        if not key.works(self._clock.now_ms()):
            raise InvalidAdminKey(cause=f"admin key {key.id} is deactivated or has expired")
        role: Role = msgspec.convert(key.role, Role)
        return Actor(key.id, key.name, role, origin, key.institution_id, request_id)

    @contextmanager
    def together(self, actor: Actor) -> Iterator[Say]:
        """Several verbs in one transaction, each with its own entry in the log: all of them are done when the
        context ends, and nothing where it ends with an exception. Raises as `do` does."""
        with _faults(), self._desk.writing() as session:
            yield self._say(session, actor)

    def claim(self, secret: str, origin: str, request_id: str | None) -> ClaimedKey:
        with _faults(), self._desk.writing() as session:
            now = self._clock.now_ms()
            link, done = claims.claim(session, secret, now, self._public_url)
            who = Claimant(link.id, origin, request_id)
            session.append_audit(audit.entry(who, "claimKey", done, now, session.last_audit()))
            return done.answer

    def close(self) -> None:
        self._desk.close()

    def _say(self, session: Session, actor: Actor) -> Say:
        return Say(session, actor, self._clock.now_ms(), self._public_url)

    def audit_breaks(self) -> Iterator[str]:
        """What is wrong with the audit log, in words; nothing where it is whole."""
        with _faults(), self._desk.reading() as session:
            yield from audit.breaks(_whole_log(session))

    def _write(self, session: Session, actor: Actor, verb: v.Verb[R], repeat: Repeat | None) -> R:
        endpoint = BY_VERB[type(verb)]
        say = self._say(session, actor)
        asked = sha256(f"{endpoint.name}\n".encode() + msgspec.json.encode(verb)).digest()
        if repeat is not None:
            known = session.answer(actor.id, repeat.key, say.now)
            if known is not None:
                if not hmac.compare_digest(known.request, asked):
                    raise IdempotencyMismatch
                repeat.replayed()
                replayed: R = msgspec.json.decode(known.answer, type=endpoint.answer)
                return replayed
        answer = say(verb)
        if repeat is not None:
            # What is written is answered with a record.
            kept = msgspec.json.encode(answer.without_secret()).decode()  # type: ignore[attr-defined]
            session.keep_answer(actor.id, repeat.key, StoredAnswer(asked, kept), say.now)
        return answer


def _require(actor: Actor, roles: frozenset[Role]) -> None:
    if actor.role in roles:
        return
    if actor.role == "auditor":
        raise Forbidden("An auditor reads, and changes nothing.")
    who = "an operator" if roles == OPERATORS else "an administrator"
    raise Forbidden(f"Only {who} does this.")


def _beginning(actor: Actor, *, reads: bool) -> int | None:
    """How much of an id says which. A program has the whole; a person who types sees what is changed."""
    if reads:
        return TO_READ
    return _TO_WRITE if actor.origin == TERMINAL else None


def _whole_log(session: Session) -> Iterator[AuditRow]:
    seq = 0
    while rows := session.audit_after(seq, _AUDIT_PAGE):
        yield from rows
        seq = rows[-1].seq


_FIELDS = {"licence": "license", "licence type": "license_type"}
"""The fields that refer to things, by what a thing is called, where they are not called the same."""


@contextmanager
def _faults() -> Iterator[None]:
    """The storage's exceptions as faults."""
    try:
        yield
    except directory_faults.NotFound as error:
        raise NotThere(error.what, error.reference, param=_field(error.what)) from error
    except directory_faults.Ambiguous as error:
        raise Ambiguous(error.what, error.reference, error.candidates, param=_field(error.what)) from error
    except directory_faults.AlreadyExists as error:
        text = str(error)
        raise Conflict(f"{text[0].upper()}{text[1:]}.", code="already_exists") from error
    except DatabaseUnusable as error:
        raise LedgerUnavailable(cause=str(error)) from error


def _field(what: str) -> str:
    return _FIELDS.get(what, what.replace(" ", "_"))
