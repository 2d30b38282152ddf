"""`quantized key`."""

import click
from msgspec.structs import asdict

from quantized.administration import verbs
from quantized.administration.records import NewKeyRecord
from quantized.cli.acting import act, every
from quantized.cli.arguments import MOMENT, NAME, SPAN, Moment
from quantized.cli.output import iso_time, show, show_all
from quantized.cli.records import DatabaseGroup
from quantized.cli.shell import Shell, json_option, pass_shell


@click.group(cls=DatabaseGroup)
def key() -> None:
    """API keys: each belongs to a licence, and is shown once."""


@key.command()
@click.argument("license_", metavar="LICENSE")
@click.option("--name", type=NAME, default="key", help="What people call it.")
@click.option("--expires", type=MOMENT, help="When it stops: a date, a time, or a length of time from now.")
@click.option("--user-id", type=NAME, help="Whom its calls are recorded for.")
@json_option
@pass_shell
def create(
    shell: Shell, license_: str, name: str, expires: Moment | None, user_id: str | None, as_json: bool
) -> None:
    """Make a key for a licence and print it, this once."""
    now = shell.clock.now_ms()
    expires_at = None if expires is None else expires.ahead(now)
    if expires_at is not None and expires_at <= now:
        raise click.BadParameter("that is in the past", param_hint="--expires")
    verb = verbs.CreateKey(license=license_, name=name, expires_at=iso_time(expires_at), user_id=user_id)
    _show_new(act(shell, verb), as_json=as_json)


@key.command("list")
@click.option("--license", "license_", metavar="LICENSE", help="Only this licence's.")
@click.option("--institution", help="Only this institution's.")
@json_option
@pass_shell
def list_(shell: Shell, license_: str | None, institution: str | None, as_json: bool) -> None:
    """All keys, without their secrets."""
    rows = every(shell, verbs.ListKeys(license=license_, institution=institution))
    records = [asdict(row) for row in rows]
    columns = ("prefix", "name", "active", "expires_at", "license_id", "key_id")
    empty = "There is no key; make one with: quantized key create LICENSE"
    show_all(records, columns, as_json=as_json, empty=empty)


@key.command("show")
@click.argument("key_", metavar="KEY")
@json_option
@pass_shell
def show_(shell: Shell, key_: str, as_json: bool) -> None:
    """One key, without its secret."""
    show(asdict(act(shell, verbs.ShowKey(key=key_))), as_json=as_json)


@key.command()
@click.argument("key_", metavar="KEY")
@click.option("--name", type=NAME, required=True, help="Its new name.")
@json_option
@pass_shell
def update(shell: Shell, key_: str, name: str, as_json: bool) -> None:
    """Rename a key."""
    show(asdict(act(shell, verbs.UpdateKey(key=key_, name=name))), as_json=as_json)


@key.command()
@click.argument("key_", metavar="KEY")
@json_option
@pass_shell
def deactivate(shell: Shell, key_: str, as_json: bool) -> None:
    """Refuse a key; the gateway follows within seconds."""
    show(asdict(act(shell, verbs.UpdateKey(key=key_, active=False))), as_json=as_json)


@key.command()
@click.argument("key_", metavar="KEY")
@json_option
@pass_shell
def activate(shell: Shell, key_: str, as_json: bool) -> None:
    """Accept a key again."""
    show(asdict(act(shell, verbs.UpdateKey(key=key_, active=True))), as_json=as_json)


@key.command()
@click.argument("key_", metavar="KEY")
@click.option("--grace", type=SPAN, help="How long the old one works on, 24h for example.")
@json_option
@pass_shell
def rotate(shell: Shell, key_: str, grace: int | None, as_json: bool) -> None:
    """Make a new key in the place of an old one and print it, this once. The old one stops."""
    # What is less than a second is rounded up: the old one never stops before its time.
    seconds = -(-(grace or 0) // 1_000)
    _show_new(act(shell, verbs.RotateKey(key=key_, grace_seconds=seconds)), as_json=as_json)


def _show_new(made: NewKeyRecord, *, as_json: bool) -> None:
    record = asdict(made)
    show({"api_key": record.pop("api_key"), **record}, as_json=as_json)
    if not as_json:
        click.echo("\nKeep the key now: it is stored as a hash and cannot be shown again.", err=True)
