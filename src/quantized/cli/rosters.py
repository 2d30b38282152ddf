"""`quantized roster`."""

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from msgspec.structs import asdict

from quantized.administration import roster_verbs as rv
from quantized.administration.roster_file import LARGEST
from quantized.administration.roster_records import PersonChange, RosterImportRecord
from quantized.cli.acting import act, every
from quantized.cli.arguments import ALIAS, CREDITS, MOMENT, UNIQUE_ID, Moment
from quantized.cli.handed_file import Unwritten, handed_file
from quantized.cli.output import Record, credits_text, iso_time, printable, show, show_all
from quantized.cli.records import DatabaseGroup
from quantized.cli.remote import LOOPBACK
from quantized.cli.shell import Shell, json_option, pass_shell, print_json

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_SIGNS = {"added": "+", "changed": "~", "returned": "+", "removed": "-"}


@click.group(cls=DatabaseGroup)
def roster() -> None:
    """Rosters: a file of people who get access together."""


@roster.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True))
@click.option("--roster", "alias", type=ALIAS, help="Its name; the file's unless given.")
@click.option("--type", "type_", metavar="TYPE", help="Give each person a licence of this type.")
@click.option("--license", "license_", metavar="LICENSE", help="One for all, with an allowance each.")
@click.option("--credits", "credits_", type=CREDITS, help="For new people of whom the file does not say it.")
@click.option(
    "--expires", type=MOMENT, help="For new people of whom the file does not say it: a date or a time."
)
@click.option("--dry-run", is_flag=True, help="Show what would change; change nothing.")
@click.option(
    "--links",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write one-time links into this new CSV, for all who have no key yet.",
)
@click.option(
    "--keys",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write keys into it instead; nobody can be shown them again.",
)
@click.option(
    "--link-days", type=click.IntRange(1, 90), default=14, show_default=True, help="How long links work."
)
@click.option(
    "--renew-links", is_flag=True, help="Also for those whose link is unused; that one works no more."
)
@click.option(
    "--renew-keys", is_flag=True, help="Also for those who have a key; their old ones stop. Mind --dry-run."
)
@click.option("--remove-most", is_flag=True, help="Even if more than half of the people are missing now.")
@json_option
@pass_shell
def import_(  # noqa: PLR0913, PLR0917  one for each option
    shell: Shell,
    file: Path,
    alias: str | None,
    type_: str | None,
    license_: str | None,
    credits_: int | None,
    expires: Moment | None,
    dry_run: bool,
    links: Path | None,
    keys: Path | None,
    link_days: int,
    renew_links: bool,
    renew_keys: bool,
    remove_most: bool,
    as_json: bool,
) -> None:
    """Give the people of a CSV access, and take it from those who are in it no more.

    The first line names the columns: id or email, and as you like name, credits, expires. Whoever is missing
    keeps balance and history, and has them again when they come back.
    """
    if links is not None and keys is not None:
        raise click.UsageError("--links and --keys exclude each other.")
    if renew_keys and links is None and keys is None:
        raise click.UsageError("--renew-keys wants --links FILE or --keys FILE: what comes in their place.")
    if type_ is not None and license_ is not None:
        raise click.UsageError("--type and --license exclude each other.")
    said: dict[str, Any] = {
        "roster": alias or _alias(file),
        "csv": _read(file),
        "license_type": type_,
        "license": license_,
        "micro_credits": credits_,
        "expires_at": _moment(expires),
        "hand_out": "keys" if keys else "links" if links else "nothing",
        "link_days": link_days,
        "renews_links": renew_links,
        "renews_keys": renew_keys,
        "removes_most": remove_most,
    }
    if dry_run:
        _show_import(act(shell, rv.PlanRoster(**said)), as_json=as_json)
        return
    with handed_file(links or keys) as out:
        done = act(shell, rv.ImportRoster(**said))
        unwritten = out.write(done.handed, with_keys=keys is not None)
    _show_import(done, as_json=as_json)
    if unwritten is not None:
        what = "keys" if keys else "links"
        raise click.ClickException(_lost(unwritten, len(done.handed), what, keys or links))
    if done.handed and links is not None:
        _warn_of_loopback(done.handed[0].link)
    if not as_json:
        _tell_handed(done, links or keys)


def _moment(expires: Moment | None) -> str | None:
    if expires is None:
        return None
    if expires.span is not None:
        # The next import would mean another moment by it.
        raise click.UsageError("--expires takes a date or a time here, and no length of time.")
    return iso_time(expires.ahead(0))


@roster.command("list")
@click.option("--institution", help="Only this institution's.")
@json_option
@pass_shell
def list_(shell: Shell, institution: str | None, as_json: bool) -> None:
    """All rosters."""
    rows = every(shell, rv.ListRosters(institution=institution, limit=200))
    columns = ("alias", "mode", "people", "removed", "updated_at", "roster_id")
    empty = "There is no roster; make one with: quantized roster import FILE --type TYPE"
    show_all([asdict(row) for row in rows], columns, as_json=as_json, empty=empty)


@roster.command("show")
@click.argument("roster_", metavar="ROSTER")
@json_option
@pass_shell
def show_(shell: Shell, roster_: str, as_json: bool) -> None:
    """One roster; `people` lists who is on it."""
    show(asdict(act(shell, rv.ShowRoster(roster=roster_))), as_json=as_json)


@roster.command()
@click.argument("roster_", metavar="ROSTER")
@click.option("--removed", is_flag=True, help="Those who were removed instead.")
@json_option
@pass_shell
def people(shell: Shell, roster_: str, removed: bool, as_json: bool) -> None:
    """Who is on a roster, and whether they have a key."""
    rows = every(shell, rv.ListRosterPeople(roster=roster_, active=not removed, limit=200))
    columns = ("person", "name", "credits", "expires_at", "has_key", "link_expires_at", "license_id")
    records: list[Record] = [asdict(row) for row in rows]
    if not as_json:
        records = [
            {**record, "credits": _value("credits", row.micro_credits)}
            for record, row in zip(records, rows, strict=True)
        ]
    show_all(records, columns, as_json=as_json, empty="Nobody.")


@roster.command()
@click.argument("roster_", metavar="ROSTER")
@click.argument("person", type=UNIQUE_ID)
@click.option("--days", type=click.IntRange(1, 90), default=14, show_default=True, help="How long it works.")
@click.option("--stop-keys", is_flag=True, help="Stop the keys that they have: they were lost or seen.")
@json_option
@pass_shell
def link(shell: Shell, roster_: str, person: str, days: int, stop_keys: bool, as_json: bool) -> None:
    """Make a new one-time link for somebody and print it, this once."""
    verb = rv.CreateLink(roster=roster_, person=person, link_days=days, stop_keys=stop_keys)
    made = act(shell, verb)
    record = asdict(made)
    show({"link": record.pop("link"), **record}, as_json=as_json)
    _warn_of_loopback(made.link)


@roster.command()
@click.argument("roster_", metavar="ROSTER")
@json_option
@pass_shell
def close(shell: Shell, roster_: str, as_json: bool) -> None:
    """End everybody's access; balances and history stay, and an import brings them back."""
    _show_import(act(shell, rv.CloseRoster(roster=roster_)), as_json=as_json)


def _alias(file: Path) -> str:
    """The file's name, if a roster may be called so."""
    try:
        alias: str = ALIAS.convert(file.stem.lower().replace(" ", "-"), None, None)
    except click.BadParameter as error:
        raise click.UsageError("Say --roster: no roster can be called as the file is.") from error
    return alias


def _read(file: Path) -> str:
    """Raises ClickException for what is no text."""
    raw = sys.stdin.buffer.read(4 * LARGEST) if str(file) == "-" else file.read_bytes()
    try:
        text = raw.decode("utf-16" if raw.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise click.ClickException(
            f"{file}, line {line}: this is not UTF-8; in a spreadsheet, save it as 'CSV UTF-8'"
        ) from error
    if len(text) > LARGEST:
        raise click.ClickException(f"{file} has more than {LARGEST} characters; import it in parts")
    return text or "\n"


def _show_import(done: RosterImportRecord, *, as_json: bool) -> None:
    if as_json:
        record: Record = asdict(done.without_secret())
        print_json(_plain(record))
        return
    for change in done.changes:
        click.echo(f"{_SIGNS[change.what]} {printable(change.person)}{_told(change)}")
    if done.ignored_columns:
        click.echo(f"Columns that mean nothing here: {printable(', '.join(done.ignored_columns))}", err=True)
    if done.kept:
        click.echo(
            f"{done.kept} who were there already keep other credits or another end: --credits and --expires "
            "count for new people, and a cell in the file for all.",
            err=True,
        )
    what = "Would be" if done.dry_run else "People"
    click.echo(
        f"{what}: {done.added} added, {done.changed} changed, {done.returned} returned, "
        f"{done.removed} removed; {done.unchanged} unchanged"
    )
    if stopped := sum(each.stopped_keys for each in done.handed):
        click.echo(f"Whose keys {'would stop' if done.dry_run else 'were stopped'}: {stopped}")


def _told(change: PersonChange) -> str:
    if change.what == "removed":
        return ""
    shown = [
        f"{name.removesuffix('_at').replace('micro_credits', 'credits')} {_value(name, each.after)}"
        if each.before is None
        else f"{name.removesuffix('_at').replace('micro_credits', 'credits')} "
        f"{_value(name, each.before)} -> {_value(name, each.after)}"
        for name, each in change.fields.items()
    ]
    back = "  (back)" if change.what == "returned" else ""
    return back + (f"  {', '.join(shown)}" if shown else "")


def _value(name: str, value: str | int | None) -> str:
    match value:
        case None:
            return "-"
        case int():
            return credits_text(value)
        case _ if name == "expires_at":
            return value[:16].replace("T", " ")
        case _:
            return printable(value)


def _tell_handed(done: RosterImportRecord, path: Path | None) -> None:
    if path is None and not (done.added or done.returned):
        return
    if path is None:
        click.echo("Nobody was given a key; --links FILE or --keys FILE gives all who have none.", err=True)
    elif done.handed:
        click.echo(f"{len(done.handed)} in {path}, which only you can read and which is not made again.")
    else:
        click.echo(f"Everybody has a key or a link; {path} was not written.", err=True)


def _lost(unwritten: Unwritten, count: int, what: str, path: Path | None) -> str:
    return (
        f"the import is done, but {path} could not be written ({unwritten.why}): {unwritten.whole} of "
        f"{count} {what} are in it. Where there is room, make all of them anew, after which these work no "
        f"more: quantized roster import … --{what} NEW-FILE --renew-{what}"
    )


def _warn_of_loopback(link: str | None) -> None:
    parts = urlsplit(link or "")
    if parts.hostname in LOOPBACK:
        click.echo(
            f"Warning: links begin with {parts.scheme}://{parts.netloc}, which no other machine reaches. Set "
            "the gateway's public_url (or QUANTIZED_PUBLIC_URL) to the address that your people use, and "
            "make links anew with --renew-links.",
            err=True,
        )


def _plain(value: Any) -> Any:
    """Structs inside of records as mappings, for JSON."""
    match value:
        case dict():
            return {name: _plain(inner) for name, inner in value.items()}
        case list() | tuple():
            return [_plain(inner) for inner in value]
        case _ if hasattr(value, "__struct_fields__"):
            return _plain(asdict(value))
        case _:
            return value
