"""What each user may use of a licence: the institution's own business, as its credits are."""

from quantized.administration import cursors, views
from quantized.administration import verbs as v
from quantized.administration.acting import Acting, Done, page
from quantized.administration.faults import NotThere
from quantized.administration.records import AllowanceRecord, Page
from quantized.storage.desk import LICENSE

_USERS = "users"


def list_allowances(acting: Acting, verb: v.ListAllowances) -> Page[AllowanceRecord]:
    account = acting.find(LICENSE, verb.license)
    after = cursors.read(verb.cursor, _USERS, str) or ""
    rows = acting.session.allowances(account.id, after, verb.limit + 1)
    shown = rows[: verb.limit]
    following = cursors.write(_USERS, shown[-1].user_id) if len(rows) > verb.limit else None
    return page([views.allowance(row) for row in shown], following)


def set_allowance(acting: Acting, verb: v.SetAllowance) -> Done[AllowanceRecord]:
    account = acting.find(LICENSE, verb.license)
    old = acting.session.allowance(account.id, verb.user_id)
    if old is None and verb.micro_credits is None:
        raise NotThere("allowance of the user", verb.user_id, param="user_id")
    new = views.allowance(acting.session.set_allowance(account.id, verb.user_id, verb.micro_credits))
    before = None if old is None else views.allowance(old)
    return Done(new, "licence", account.id, account.institution_id, before, new)
