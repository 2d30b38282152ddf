"""Licences, and the bookings on their accounts."""

from uuid import uuid4

from quantized.administration import cursors, views
from quantized.administration import verbs as v
from quantized.administration.acting import Acting, Done, page, said
from quantized.administration.faults import Conflict, Forbidden, NotThere, Unfit
from quantized.administration.records import CreditsRecord, EntryRecord, LicenseRecord, Page
from quantized.core.errors import InsufficientCredits
from quantized.core.ids import mint_id
from quantized.ledger.rules import Book
from quantized.ledger.verbs import Adjustment, LedgerMisuse, Refund
from quantized.storage.desk import LICENSE, LICENSE_TYPE
from quantized.storage.directory_rows import License
from quantized.storage.records import Needs

_ENTRIES = "entries"


def list_licenses(acting: Acting, verb: v.ListLicenses) -> Page[LicenseRecord]:
    type_id = None if verb.license_type is None else acting.find(LICENSE_TYPE, verb.license_type).id
    rows, following = acting.listed(
        LICENSE,
        verb,
        verb.institution,
        license_type_id=type_id,
        unique_id=verb.unique_id,
        active=verb.active,
    )
    return page([views.license_(row) for row in rows], following)


def show_license(acting: Acting, verb: v.ShowLicense) -> LicenseRecord:
    return views.license_(acting.find(LICENSE, verb.license))


def create_license(acting: Acting, verb: v.CreateLicense) -> Done[LicenseRecord]:
    parent = acting.find(LICENSE_TYPE, verb.license_type)
    if verb.unlimited and verb.micro_credits is not None:
        raise Unfit("unlimited", "it and micro_credits exclude each other")
    if verb.unlimited and not parent.unlimited and acting.actor.role != "operator":
        raise Forbidden("Only an operator makes a licence of this type unlimited.", param="unlimited")
    # Credits that are asked for make a limited licence of an unlimited type, too.
    unlimited = verb.unlimited or (parent.unlimited and verb.micro_credits is None)
    row = License(
        id=str(uuid4()),
        institution_id=parent.institution_id,
        license_type_id=parent.id,
        unique_id=verb.unique_id,
        name=verb.name or verb.unique_id or "",
        unlimited=unlimited,
        active=True,
        created_at=acting.now,
        granted=0,
        used=0,
        held=0,
        user_allowance=verb.user_allowance_micro_credits,
    )
    acting.session.add_license(row)
    amount = parent.default_credits if verb.micro_credits is None else verb.micro_credits
    if amount and not unlimited:
        first = Adjustment(f"grant-first-{row.id}", row.id, "grant", amount, "first credits", _booker(acting))
        _adjust(acting, first)
    record = views.license_(acting.find(LICENSE, row.id))
    return Done(record, "licence", row.id, parent.institution_id, None, record)


def update_license(acting: Acting, verb: v.UpdateLicense) -> Done[LicenseRecord]:
    old = acting.find(LICENSE, verb.license)
    changes = said(
        name=verb.name, active=verb.active, user_allowance_micro_credits=verb.user_allowance_micro_credits
    )
    if "user_allowance_micro_credits" in changes:
        changes["user_allowance"] = changes.pop("user_allowance_micro_credits")
    new = views.license_(acting.session.set(LICENSE, old.id, **changes))
    return Done(new, "licence", old.id, old.institution_id, views.license_(old), new)


def grant_credits(acting: Acting, verb: v.GrantCredits) -> Done[CreditsRecord]:
    account = acting.find(LICENSE, verb.license)
    entry_id = _entry_id(acting, account, verb.id, "grant")
    booking = Adjustment(entry_id, account.id, "grant", verb.micro_credits, verb.reason, _booker(acting))
    anew = _adjust(acting, booking)
    return _booked(acting, account, booking, anew=anew)


def adjust_credits(acting: Acting, verb: v.AdjustCredits) -> Done[CreditsRecord]:
    account = acting.find(LICENSE, verb.license)
    if verb.micro_credits == 0:
        raise Unfit("micro_credits", "0 would change nothing")
    entry_id = _entry_id(acting, account, verb.id, "adjustment")
    booking = Adjustment(entry_id, account.id, "adjustment", verb.micro_credits, verb.reason, _booker(acting))
    anew = _adjust(acting, booking)
    return _booked(acting, account, booking, anew=anew)


def refund_credits(acting: Acting, verb: v.RefundCredits) -> Done[CreditsRecord]:
    account = acting.find(LICENSE, verb.license)
    charged = acting.session.charged_request(account.id, verb.request)
    if charged is None:
        raise NotThere("charge of this licence for the request", verb.request, param="request")
    hold_id, request_id = charged
    entry_id = _entry_id(acting, account, verb.id, "refund")
    booking = Refund(entry_id, hold_id, request_id, verb.micro_credits, verb.reason, _booker(acting))
    needs = Needs(hold_ids=[hold_id], license_ids=[account.id], entry_ids=[entry_id], refunds_of=[hold_id])
    book = Book(acting.session.ledger_rows(needs), acting.now)
    try:
        given = book.refund(booking)
    except LedgerMisuse as misuse:
        raise _conflict(misuse) from misuse
    acting.session.write_ledger(book.changes)
    anew = bool(book.changes.entries)
    return _booked(acting, account, booking, anew=anew, refunded=given.amount)


def list_entries(acting: Acting, verb: v.ListEntries) -> Page[EntryRecord]:
    account = acting.find(LICENSE, verb.license)
    after = cursors.read(verb.cursor, _ENTRIES, int) or 0
    rows = acting.session.entries(account.id, after, verb.limit + 1)
    shown = rows[: verb.limit]
    following = cursors.write(_ENTRIES, shown[-1].seq) if len(rows) > verb.limit else None
    return page([views.entry(row) for row in shown], following)


def _entry_id(acting: Acting, account: License, said: str | None, kind: str) -> str:
    """An id that somebody chose is the licence's, whoever else chose it. What was booked by it before ids
    were the licence's own counts on."""
    if said is None:
        return mint_id(kind, acting.now)
    needs = Needs(license_ids=[account.id], entry_ids=[said])
    known = acting.session.ledger_rows(needs).entries.get(said)
    return said if known is not None and known.license_id == account.id else f"{account.id}/{said}"


def _adjust(acting: Acting, booking: Adjustment) -> bool:
    """Whether it was booked now; False where it was before."""
    needs = Needs(license_ids=[booking.license_id], entry_ids=[booking.id])
    book = Book(acting.session.ledger_rows(needs), acting.now)
    try:
        book.adjust(booking)
    except InsufficientCredits as short:
        raise Conflict(
            f"The licence has not that much left: {short.cause}.",
            param="micro_credits",
            code="insufficient_credits",
        ) from short
    except LedgerMisuse as misuse:
        raise _conflict(misuse) from misuse
    acting.session.write_ledger(book.changes)
    return bool(book.changes.entries)


def _conflict(misuse: LedgerMisuse) -> Conflict:
    text = str(misuse)
    return Conflict(f"{text[0].upper()}{text[1:]}.", code="booking_refused")


def _booker(acting: Acting) -> str:
    """As the ledger keeps it, for good."""
    return acting.actor.signs or acting.actor.id


def _booked(
    acting: Acting, before: License, booking: Adjustment | Refund, *, anew: bool, refunded: int | None = None
) -> Done[CreditsRecord]:
    after = views.license_(acting.find(LICENSE, before.id))
    entry_id = views.entry_id(before.id, booking.id)
    return Done(
        CreditsRecord(entry_id=entry_id, refunded_micro_credits=refunded, license=after),
        "licence",
        before.id,
        before.institution_id,
        views.license_(before),
        after,
        booking.reason,
        repeated=not anew,
    )
