"""`quantized admin-key`."""

import click
from msgspec.structs import asdict

from quantized.administration import verbs
from quantized.administration.actor import ROLES, Role
from quantized.administration.records import NewAdminKeyRecord
from quantized.cli.acting import act, every
from quantized.cli.arguments import MOMENT, NAME, SPAN, Moment
from quantized.cli.output import iso_time, show, show_all
from quantized.cli.records import DatabaseGroup
from quantized.cli.shell import Shell, json_option, pass_shell


@click.group(cls=DatabaseGroup)
def admin_key() -> None:
    """Admin keys: what the administration API takes. Each is shown once."""


@admin_key.command()
@click.option("--name", type=NAME, required=True, help="Whose it is.")
@click.option(
    "--role",
    type=click.Choice(ROLES),
    default="operator",
    show_default=True,
    help="operator: everything; institution_admin: one institution; auditor: reads.",
)
@click.option("--institution", help="All that the key sees and touches.")
@click.option("--expires", type=MOMENT, help="When it stops: a date, a time, or a length of time from now.")
@json_option
@pass_shell
def create(
    shell: Shell, name: str, role: Role, institution: str | None, expires: Moment | None, as_json: bool
) -> None:
    """Make an admin key and print it, this once."""
    if (role == "institution_admin") and institution is None:
        raise click.UsageError("An institution_admin needs --institution.")
    if role == "operator" and institution is not None:
        raise click.UsageError("An operator has no --institution.")
    expires_at = None if expires is None else iso_time(expires.ahead(shell.clock.now_ms()))
    verb = verbs.CreateAdminKey(name=name, role=role, institution=institution, expires_at=expires_at)
    _show_new(act(shell, verb), as_json=as_json)


@admin_key.command("list")
@click.option("--institution", help="Only those that are bounded by it.")
@json_option
@pass_shell
def list_(shell: Shell, institution: str | None, as_json: bool) -> None:
    """All admin keys, without their secrets."""
    rows = every(shell, verbs.ListAdminKeys(institution=institution, limit=200))
    columns = ("prefix", "name", "role", "active", "expires_at", "institution_id", "admin_key_id")
    empty = "There is no admin key; make one with: quantized admin-key create --name NAME"
    show_all([asdict(row) for row in rows], columns, as_json=as_json, empty=empty)


@admin_key.command("show")
@click.argument("key", metavar="KEY")
@json_option
@pass_shell
def show_(shell: Shell, key: str, as_json: bool) -> None:
    """One admin key, without its secret."""
    show(asdict(act(shell, verbs.ShowAdminKey(admin_key=key))), as_json=as_json)


@admin_key.command()
@json_option
@pass_shell
def whoami(shell: Shell, as_json: bool) -> None:
    """Who acts: with --url, whose admin key it is and what it may do."""
    show(asdict(act(shell, verbs.ShowSelf())), as_json=as_json)


@admin_key.command()
@click.argument("key", metavar="KEY")
@click.option("--name", type=NAME, required=True, help="Whose it is from now on.")
@json_option
@pass_shell
def update(shell: Shell, key: str, name: str, as_json: bool) -> None:
    """Rename an admin key; entries in the audit log keep the old name."""
    show(asdict(act(shell, verbs.UpdateAdminKey(admin_key=key, name=name))), as_json=as_json)


@admin_key.command()
@click.argument("key", metavar="KEY")
@json_option
@pass_shell
def deactivate(shell: Shell, key: str, as_json: bool) -> None:
    """Refuse an admin key, at once."""
    show(asdict(act(shell, verbs.UpdateAdminKey(admin_key=key, active=False))), as_json=as_json)


@admin_key.command()
@click.argument("key", metavar="KEY")
@json_option
@pass_shell
def activate(shell: Shell, key: str, as_json: bool) -> None:
    """Accept an admin key again."""
    show(asdict(act(shell, verbs.UpdateAdminKey(admin_key=key, active=True))), as_json=as_json)


@admin_key.command()
@click.argument("key", metavar="KEY")
@click.option("--grace", type=SPAN, help="How long the old one works on, 24h for example.")
@json_option
@pass_shell
def rotate(shell: Shell, key: str, grace: int | None, as_json: bool) -> None:
    """Make a new admin key in the place of an old one and print it, this once. The old one stops."""
    seconds = -(-(grace or 0) // 1_000)
    _show_new(act(shell, verbs.RotateAdminKey(admin_key=key, grace_seconds=seconds)), as_json=as_json)


def _show_new(made: NewAdminKeyRecord, *, as_json: bool) -> None:
    record = asdict(made)
    show({"admin_key": record.pop("admin_key"), **record}, as_json=as_json)
    if not as_json:
        click.echo("\nKeep the key now: it is stored as a hash and cannot be shown again.", err=True)
