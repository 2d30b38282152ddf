"""Rosters: people who get access together, and lose it together."""

from msgspec.structs import replace

from quantized.administration import cursors
from quantized.administration import roster_records as r
from quantized.administration import roster_verbs as v
from quantized.administration.acting import Acting, Done, page
from quantized.administration.faults import Conflict, NotThere, Unfit
from quantized.administration.records import Page
from quantized.administration.roster_applying import Applying
from quantized.administration.roster_diff import Change, Defaults, Difference, compare
from quantized.administration.roster_file import RosterFile, RosterUnfit, known_as, read_roster
from quantized.administration.roster_handing import hand_link, hand_out
from quantized.administration.words import in_future, iso_time
from quantized.core.ids import mint_id
from quantized.storage.desk import LICENSE, LICENSE_TYPE, ROSTER
from quantized.storage.directory_faults import Ambiguous, NotFound
from quantized.storage.roster_rows import Person, Roster, Standing

_PEOPLE = "people"
_FEW = 5
"""So many may be removed without a word, whatever part of a roster they are."""


def list_rosters(acting: Acting, verb: v.ListRosters) -> Page[r.RosterRecord]:
    rows, following = acting.listed(ROSTER, verb, verb.institution)
    return page([_record(acting, row) for row in rows], following)


def show_roster(acting: Acting, verb: v.ShowRoster) -> r.RosterRecord:
    return _record(acting, acting.find(ROSTER, verb.roster))


def list_people(acting: Acting, verb: v.ListRosterPeople) -> Page[r.PersonRecord]:
    roster = acting.find(ROSTER, verb.roster)
    rows = acting.session.rosters
    after = cursors.read(verb.cursor, _PEOPLE, str)
    people = rows.page(roster.id, verb.active, after, verb.limit + 1)
    shown = people[: verb.limit]
    standing = rows.standing(roster.id, acting.now)
    following = cursors.write(_PEOPLE, shown[-1].person) if len(people) > verb.limit else None
    return page([_person(each, standing) for each in shown], following)


def plan_roster(acting: Acting, verb: v.PlanRoster) -> r.RosterImportRecord:
    """Done, and undone: what is shown is what would be."""
    with acting.session.undone():
        done = import_roster(acting, verb)
    made = done.before is None
    answer = done.answer
    return replace(
        answer,
        roster=None if made else answer.roster,
        dry_run=True,
        changes=[
            replace(change, license_id=None) if change.what == "added" else change
            for change in answer.changes
        ],
        handed=[
            replace(handed, link=None, link_expires_at=None, key_id=None, api_key=None)
            for handed in answer.handed
        ],
    )


def import_roster(acting: Acting, verb: v.ImportRoster | v.PlanRoster) -> Done[r.RosterImportRecord]:
    roster, applying, file, difference = _prepared(acting, verb)
    before = _find(acting, roster.alias, roster.institution_id)
    told = None if before is None else _record(acting, before)
    if before is None:
        acting.session.rosters.add(roster)
    else:
        acting.session.rosters.touch(roster.id, acting.now)
    difference = applying.apply(difference)
    new = {change.after.person for change in difference.of("added")}
    standing = acting.session.rosters.standing(roster.id, acting.now)
    unserved = _unserved(acting, roster, verb, standing)
    acting.session.rosters.stop_keys([person for person in unserved if person.person in standing.keys])
    served = [
        replace(each, stopped_keys=each.person in standing.keys)
        for each in hand_out(acting, roster, unserved, new, verb.hand_out, verb.link_days)
    ]
    record = _record(acting, acting.find(ROSTER, roster.id))
    answer = _answer(record, difference, served, file.ignored, dry_run=False)
    return Done(answer, "roster", roster.id, roster.institution_id, told, answer.without_secret())


def close_roster(acting: Acting, verb: v.CloseRoster) -> Done[r.RosterImportRecord]:
    roster = acting.find(ROSTER, verb.roster)
    before = _record(acting, roster)
    known = acting.session.rosters.people(roster.id)
    difference, _ = compare(roster.id, known, (), Defaults(), acting.now)
    applying = Applying(acting, roster, known)
    acting.session.rosters.touch(roster.id, acting.now)
    difference = applying.apply(difference)
    record = _record(acting, acting.find(ROSTER, roster.id))
    answer = _answer(record, difference, [], (), dry_run=False)
    return Done(answer, "roster", roster.id, roster.institution_id, before, answer)


def create_link(acting: Acting, verb: v.CreateLink) -> Done[r.NewLinkRecord]:
    roster = acting.find(ROSTER, verb.roster)
    person = acting.session.rosters.person(roster.id, known_as(verb.person))
    if person is None:
        raise NotThere("person on the roster", verb.person, param="person")
    if not person.active:
        raise Conflict(f"{person.person} was removed from the roster.", param="person", code="removed")
    if person.expires_at is not None and person.expires_at <= acting.now:
        raise Conflict(
            f"The access of {person.person} ended on {iso_time(person.expires_at)[:10]}; say another end in "
            "the roster's file, and import it.",
            param="person",
            code="ended",
        )
    if verb.stop_keys and roster.license_id is None:
        acting.session.rosters.stop_all_keys(person.license_id)
    elif verb.stop_keys:
        acting.session.rosters.stop_keys([person])
    acting.session.rosters.withdraw_links(roster.id, [person.person], acting.now)
    link = hand_link(acting, [person], verb.link_days)[0]
    answer = r.NewLinkRecord(
        roster_id=roster.id,
        person=person.person,
        link=link.link,
        link_expires_at=link.link_expires_at or "",
        stopped_keys=verb.stop_keys,
    )
    return Done(answer, "roster", roster.id, roster.institution_id, None, answer.without_secret())


def _prepared(
    acting: Acting, verb: v.PlanRoster | v.ImportRoster
) -> tuple[Roster, Applying, RosterFile, Difference]:
    """All that can be judged before anything is written. Raises RosterUnfit with everything that is wrong."""
    if verb.renews_keys and verb.hand_out == "nothing":
        raise Unfit("renews_keys", "say in 'hand_out' what everybody gets in the place of their keys")
    roster = _meant(acting, verb)
    file = read_roster(verb.csv)
    known = acting.session.rosters.people(roster.id)
    applying = Applying(acting, roster, known)
    defaults = Defaults(verb.micro_credits, in_future(verb.expires_at, acting.now, "expires_at"))
    difference, mistakes = compare(roster.id, known, file.rows, defaults, acting.now)
    mistakes += applying.mistakes(difference)
    if mistakes:
        raise RosterUnfit(mistakes)
    _require_most_to_stay(known, difference, allowed=verb.removes_most)
    return roster, applying, file, difference


def _meant(acting: Acting, verb: v.PlanRoster | v.ImportRoster) -> Roster:
    """The roster that is there, or the one that is to be."""
    if verb.license_type is not None and verb.license is not None:
        raise Unfit("license", "say either a license_type (a licence for each) or a license (one for all)")
    type_ = None if verb.license_type is None else acting.find(LICENSE_TYPE, verb.license_type)
    license_ = None if verb.license is None else acting.find(LICENSE, verb.license)
    if type_ is None and license_ is None:
        return _known(acting, verb.roster)
    owner = type_.institution_id if type_ else license_.institution_id if license_ else ""
    asked = Roster(
        id=mint_id("roster", acting.now),
        institution_id=owner,
        alias=verb.roster,
        license_type_id=type_.id if type_ else None,
        license_id=license_.id if license_ else None,
        created_at=acting.now,
        updated_at=acting.now,
    )
    known = _find(acting, verb.roster, owner)
    if known is None:
        return asked
    if (known.license_type_id, known.license_id) != (asked.license_type_id, asked.license_id):
        raise Conflict(
            f"The roster '{known.alias}' is one of "
            + (f"licences of the type {known.license_type_id}." if known.license_type_id else "")
            + (f"allowances within the licence {known.license_id}." if known.license_id else ""),
            param="license_type" if type_ else "license",
            code="other_roster",
        )
    return known


def _find(acting: Acting, alias: str, institution_id: str) -> Roster | None:
    return next(iter(acting.session.rosters.called(alias, institution_id)), None)


def _known(acting: Acting, alias: str) -> Roster:
    """Whose institution nobody says. No beginning of an id will do: a slip must not change another roster."""
    found = acting.session.rosters.called(alias, acting.scope)
    if not found:
        raise NotFound(ROSTER.what, alias)
    if len(found) > 1:
        raise Ambiguous(ROSTER.what, alias, [roster.id for roster in found])
    return found[0]


def _require_most_to_stay(known: dict[str, Person], difference: Difference, *, allowed: bool) -> None:
    there = sum(person.active for person in known.values())
    gone = len(difference.of("removed"))
    if gone > _FEW and gone * 2 > there and not allowed:
        raise Conflict(
            f"This would remove {gone} of {there} people, which is what a wrong file does; "
            "if it is meant, say removes_most.",
            param="removes_most",
            code="removes_most",
        )


def _unserved(acting: Acting, roster: Roster, verb: v.Import, standing: Standing) -> list[Person]:
    """Those on the roster who have neither a key nor a link that is to stay."""
    return [
        person
        for name, person in sorted(acting.session.rosters.people(roster.id).items())
        if person.active
        and (verb.renews_keys if name in standing.keys else verb.renews_links or name not in standing.links)
        and (person.expires_at is None or person.expires_at > acting.now)
    ]


def _answer(
    roster: r.RosterRecord | None,
    difference: Difference,
    handed: list[r.Handed],
    ignored: tuple[str, ...],
    *,
    dry_run: bool,
) -> r.RosterImportRecord:
    return r.RosterImportRecord(
        roster=roster,
        dry_run=dry_run,
        added=len(difference.of("added")),
        changed=len(difference.of("changed")),
        returned=len(difference.of("returned")),
        removed=len(difference.of("removed")),
        unchanged=difference.unchanged,
        changes=[_change(change) for change in difference.changes],
        handed=handed,
        ignored_columns=list(ignored),
        kept=difference.kept,
    )


def _change(change: Change) -> r.PersonChange:
    before, after = change.before, change.after
    fields = {}
    for name in ("name", "email", "micro_credits", "expires_at"):
        old = None if before is None else _shown(name, before)
        new = _shown(name, after)
        if old != new:
            fields[name] = r.FieldChange(old, new)
    return r.PersonChange(
        what=change.what,
        person=after.person,
        name=after.name,
        license_id=after.license_id or None,
        fields=fields,
    )


def _shown(name: str, person: Person) -> str | int | None:
    value: str | int | None = getattr(person, name)
    return iso_time(value) if name == "expires_at" and isinstance(value, int) else value


def _record(acting: Acting, roster: Roster) -> r.RosterRecord:
    people, removed = acting.session.rosters.count(roster.id)
    return r.RosterRecord(
        roster_id=roster.id,
        institution_id=roster.institution_id,
        alias=roster.alias,
        mode="licenses" if roster.license_id is None else "allowances",
        license_type_id=roster.license_type_id,
        license_id=roster.license_id,
        people=people,
        removed=removed,
        created_at=iso_time(roster.created_at),
        updated_at=iso_time(roster.updated_at),
    )


def _person(person: Person, standing: Standing) -> r.PersonRecord:
    link = standing.links.get(person.person)
    return r.PersonRecord(
        person=person.person,
        name=person.name,
        email=person.email,
        license_id=person.license_id,
        micro_credits=person.micro_credits,
        expires_at=None if person.expires_at is None else iso_time(person.expires_at),
        active=person.active,
        has_key=person.active and person.person in standing.keys,
        link_expires_at=None if link is None else iso_time(link),
        created_at=iso_time(person.created_at),
        updated_at=iso_time(person.updated_at),
    )
