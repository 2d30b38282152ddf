"""What was used, who did what, and who is asking."""

from quantized.administration import cursors, views
from quantized.administration import verbs as v
from quantized.administration.acting import Acting, page
from quantized.administration.records import (
    ActorRecord,
    AuditRecord,
    Page,
    RequestRecord,
    UsageRecord,
)
from quantized.administration.words import unix_ms
from quantized.storage.desk import KEY, LICENSE, Filter
from quantized.storage.reports import UsageFilter

_REQUESTS = "requests"
_AUDIT = "audit"


def show_self(acting: Acting, _verb: v.ShowSelf) -> ActorRecord:
    actor = acting.actor
    return ActorRecord(id=actor.id, name=actor.name, role=actor.role, institution_id=actor.institution_id)


def read_usage(acting: Acting, verb: v.ReadUsage) -> Page[UsageRecord]:
    totals = acting.session.usage_totals(verb.by, _wanted(acting, verb))
    return page([views.usage(total) for total in totals], None)


def list_requests(acting: Acting, verb: v.ListRequests) -> Page[RequestRecord]:
    after = cursors.read(verb.cursor, _REQUESTS, tuple[int, str])
    rows = acting.session.usage_page(_wanted(acting, verb), after, verb.limit + 1)
    shown = rows[: verb.limit]
    last = (shown[-1].created_at, shown[-1].hold_id) if len(rows) > verb.limit else None
    return page([views.request(row) for row in shown], last and cursors.write(_REQUESTS, last))


def list_audit(acting: Acting, verb: v.ListAudit) -> Page[AuditRecord]:
    wanted = {"actor_id": verb.actor, "action": verb.action, "target_id": verb.target}
    rows = acting.session.audit_page(
        acting.narrowed(verb.institution),
        [Filter(column, value) for column, value in wanted.items() if value is not None],
        since=_moment(verb.since, "since"),
        until=_moment(verb.until, "until"),
        before=cursors.read(verb.cursor, _AUDIT, int),
        limit=verb.limit + 1,
    )
    shown = rows[: verb.limit]
    following = cursors.write(_AUDIT, shown[-1].seq) if len(rows) > verb.limit else None
    return page([views.audit(row) for row in shown], following)


def _wanted(acting: Acting, verb: v.ReadUsage | v.ListRequests) -> UsageFilter:
    return UsageFilter(
        license_id=None if verb.license is None else acting.find(LICENSE, verb.license).id,
        key_id=None if verb.key is None else acting.find(KEY, verb.key).id,
        model=verb.model,
        since=_moment(verb.since, "since"),
        until=_moment(verb.until, "until"),
        institution_id=acting.narrowed(verb.institution),
        user_id=verb.user_id,
    )


def _moment(said: str | None, param: str) -> int | None:
    return None if said is None else unix_ms(said, param)
