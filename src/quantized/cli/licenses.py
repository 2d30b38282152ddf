"""`quantized license`."""

from collections.abc import Callable

import click

from quantized.cli.arguments import CREDITS, NAME, UNIQUE_ID
from quantized.cli.directory import open_directory
from quantized.cli.output import show, show_all
from quantized.cli.records import DatabaseGroup, database_url
from quantized.cli.shell import Shell, json_option, pass_shell
from quantized.cli.views import license_record
from quantized.core.ids import mint_id
from quantized.ledger.credits import adjust as adjust_credits
from quantized.ledger.credits import grant as grant_credits
from quantized.ledger.credits import refund as refund_credits

ACTOR = "command line"


@click.group(cls=DatabaseGroup)
def license() -> None:  # noqa: A001  the command's own name
    """Licences: who may spend how much."""


@license.command()
@click.argument("type_", metavar="TYPE")
@click.option("--unique-id", type=UNIQUE_ID, help="Your own id of what it stands for, a course for example.")
@click.option("--name", type=NAME, help="What people call it; the unique id unless given.")
@click.option(
    "--credits", "credits_", type=CREDITS, help="What it begins with, instead of what its type says."
)
@click.option("--unlimited", is_flag=True, help="No balance, only a count of what it used.")
@json_option
@pass_shell
def create(
    shell: Shell,
    type_: str,
    unique_id: str | None,
    name: str | None,
    credits_: int | None,
    unlimited: bool,
    as_json: bool,
) -> None:
    """Make a licence of a type; TYPE may be INSTITUTION/ALIAS."""
    if unlimited and credits_ is not None:
        raise click.UsageError("--unlimited and --credits exclude each other.")
    directory = open_directory(shell)
    now = shell.clock.now_ms()
    parent = directory.license_type(type_)
    # Credits that are asked for make a limited licence of an unlimited type, too.
    limitless = unlimited or (parent.unlimited and credits_ is None)
    row = directory.create_license(parent.id, now, unique_id=unique_id, name=name, unlimited=limitless)
    amount = parent.default_credits if credits_ is None else credits_
    if amount and not limitless:
        grant_credits(
            shell.settings().database_url,
            entry_id=f"grant-first-{row.id}",
            license_id=row.id,
            amount=amount,
            reason="first credits",
            actor=ACTOR,
            now_ms=now,
        )
    show(license_record(directory.license(row.id)), as_json=as_json)


@license.command("list")
@click.option("--institution", help="Only this institution's.")
@click.option("--type", "type_", metavar="TYPE", help="Only of this type.")
@json_option
@pass_shell
def list_(shell: Shell, institution: str | None, type_: str | None, as_json: bool) -> None:
    """All licences and what they have left."""
    rows = open_directory(shell).licenses(institution=institution, license_type=type_)
    columns = (
        "unique_id",
        "name",
        "active",
        "unlimited",
        "used_micro_credits",
        "available_micro_credits",
        "license_id",
    )
    empty = "There is no licence; make one with: quantized license create TYPE"
    show_all([license_record(row) for row in rows], columns, as_json=as_json, empty=empty)


@license.command("show")
@click.argument("license_", metavar="LICENSE")
@json_option
@pass_shell
def show_(shell: Shell, license_: str, as_json: bool) -> None:
    """One licence."""
    show(license_record(open_directory(shell).license(license_)), as_json=as_json)


def _amount_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.argument("credits_", metavar="[CREDITS]", type=CREDITS, required=False),
        click.option("--micro", type=click.IntRange(1, 10**15), help="How many, in micro-credits instead."),
        click.option(
            "--id", "entry_id", type=UNIQUE_ID, help="Your own id of this entry: said again, it counts once."
        ),
        click.option("--actor", type=NAME, default=ACTOR, show_default=True, help="Who does it."),
    ):
        command = option(command)
    return command


@license.command()
@click.argument("license_", metavar="LICENSE")
@_amount_options
@click.option("--take", is_flag=True, help="Take them away instead, which is a correction; see adjust.")
@click.option("--reason", type=NAME, default="granted", help="For the ledger.")
@json_option
@pass_shell
def grant(  # noqa: PLR0913, PLR0917  one for each option
    shell: Shell,
    license_: str,
    credits_: int | None,
    micro: int | None,
    take: bool,
    entry_id: str | None,
    reason: str,
    actor: str,
    as_json: bool,
) -> None:
    """Give a licence credits."""
    say = adjust_credits if take else grant_credits
    amount = _one_amount(credits_, micro)
    _book(shell, say, license_, -amount if take else amount, entry_id, reason, actor, as_json=as_json)


@license.command()
@click.argument("license_", metavar="LICENSE")
@_amount_options
@click.option("--take", is_flag=True, help="Downwards; never what is used or held.")
@click.option("--reason", type=NAME, required=True, help="For the ledger.")
@json_option
@pass_shell
def adjust(  # noqa: PLR0913, PLR0917  one for each option
    shell: Shell,
    license_: str,
    credits_: int | None,
    micro: int | None,
    take: bool,
    entry_id: str | None,
    reason: str,
    actor: str,
    as_json: bool,
) -> None:
    """Correct a licence's balance, up or down."""
    amount = _one_amount(credits_, micro)
    _book(
        shell, adjust_credits, license_, -amount if take else amount, entry_id, reason, actor, as_json=as_json
    )


@license.command()
@click.argument("request")
@_amount_options
@click.option("--reason", type=NAME, required=True, help="For the ledger.")
@json_option
@pass_shell
def refund(
    shell: Shell,
    request: str,
    credits_: int | None,
    micro: int | None,
    entry_id: str | None,
    reason: str,
    actor: str,
    as_json: bool,
) -> None:
    """Give back what a request was charged, whole or the CREDITS that are named.

    REQUEST is the request's id (x-request-id) or its hold's. What was consumed beyond the balance was not
    paid and is not given back.
    """
    amount = None if credits_ is None and micro is None else _one_amount(credits_, micro)
    url = database_url(shell)
    now = shell.clock.now_ms()
    entry = entry_id or mint_id("refund", now)
    given = refund_credits(
        url, entry_id=entry, request=request, amount=amount, reason=reason, actor=actor, now_ms=now
    )
    record = license_record(open_directory(shell).license(given.license_id))
    show({**record, "refunded_micro_credits": given.amount, "entry_id": entry}, as_json=as_json)


def _one_amount(credits_: int | None, micro: int | None) -> int:
    if (credits_ is None) == (micro is None):
        raise click.UsageError("Say how much: either CREDITS or --micro.")
    return (credits_ or 0) + (micro or 0)


def _book(
    shell: Shell,
    say: Callable[..., int | None],
    license_: str,
    amount: int,
    entry_id: str | None,
    reason: str,
    actor: str,
    *,
    as_json: bool,
) -> None:
    url = database_url(shell)
    directory = open_directory(shell)
    now = shell.clock.now_ms()
    entry = entry_id or mint_id("grant", now)
    owner = directory.license(license_)
    say(url, entry_id=entry, license_id=owner.id, amount=amount, reason=reason, actor=actor, now_ms=now)
    show({**license_record(directory.license(owner.id)), "entry_id": entry}, as_json=as_json)


@license.command()
@click.argument("license_", metavar="LICENSE")
@json_option
@pass_shell
def deactivate(shell: Shell, license_: str, as_json: bool) -> None:
    """Refuse all calls of a licence; its balance stays."""
    show(license_record(open_directory(shell).set_license_active(license_, False)), as_json=as_json)


@license.command()
@click.argument("license_", metavar="LICENSE")
@json_option
@pass_shell
def activate(shell: Shell, license_: str, as_json: bool) -> None:
    """Accept the calls of a licence again."""
    show(license_record(open_directory(shell).set_license_active(license_, True)), as_json=as_json)
