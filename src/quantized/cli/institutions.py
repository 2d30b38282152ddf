"""`quantized institution`."""

import click

from quantized.administration import verbs
from quantized.administration.records import InstitutionRecord
from quantized.cli.acting import act, every
from quantized.cli.arguments import ALIAS, NAME
from quantized.cli.output import show, show_all
from quantized.cli.public_keys import key as public_keys
from quantized.cli.records import DatabaseGroup
from quantized.cli.shell import Shell, json_option, pass_shell
from quantized.cli.views import institution_record


@click.group(cls=DatabaseGroup)
def institution() -> None:
    """Institutions: whoever hands out licences."""


institution.add_command(public_keys)


@institution.command()
@click.argument("alias", type=ALIAS)
@click.option("--name", type=NAME, help="What people call it; the alias unless given.")
@json_option
@pass_shell
def create(shell: Shell, alias: str, name: str | None, as_json: bool) -> None:
    """Make an institution."""
    _show(shell, act(shell, verbs.CreateInstitution(alias=alias, name=name)), as_json=as_json)


@institution.command("list")
@json_option
@pass_shell
def list_(shell: Shell, as_json: bool) -> None:
    """All institutions."""
    keys = every(shell, verbs.ListPublicKeys())
    records = [institution_record(row, keys) for row in every(shell, verbs.ListInstitutions())]
    columns = ("alias", "name", "institution_id", "created_at")
    empty = "There is no institution yet; make one with: quantized institution create ALIAS"
    show_all(records, columns, as_json=as_json, empty=empty)


@institution.command("show")
@click.argument("institution")
@json_option
@pass_shell
def show_(shell: Shell, institution: str, as_json: bool) -> None:
    """One institution, with its public keys."""
    _show(shell, act(shell, verbs.ShowInstitution(institution=institution)), as_json=as_json)


@institution.command()
@click.argument("institution")
@click.option("--name", type=NAME, required=True, help="Its new name.")
@json_option
@pass_shell
def update(shell: Shell, institution: str, name: str, as_json: bool) -> None:
    """Rename an institution."""
    changed = act(shell, verbs.UpdateInstitution(institution=institution, name=name))
    _show(shell, changed, as_json=as_json)


def _show(shell: Shell, row: InstitutionRecord, *, as_json: bool) -> None:
    keys = every(shell, verbs.ListPublicKeys(institution=row.institution_id))
    show(institution_record(row, keys), as_json=as_json)
