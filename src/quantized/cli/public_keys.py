"""`quantized institution key`."""

import sys
from pathlib import Path
from typing import Literal

import click
from msgspec.structs import asdict

from quantized.administration import verbs
from quantized.auth.public_keys import LONGEST, UnfitKey, read_public_key
from quantized.cli.acting import act, every
from quantized.cli.arguments import EXPIRY, MOMENT, UNIQUE_ID, Moment
from quantized.cli.output import iso_time, show, show_all
from quantized.cli.records import DatabaseGroup
from quantized.cli.shell import Shell, json_option, pass_shell


@click.group(cls=DatabaseGroup)
def key() -> None:
    """Public keys: a token counts that one of them verifies."""


@key.command()
@click.argument("institution")
@click.argument("public_key", metavar="KEY")
@click.option("--kid", type=UNIQUE_ID, help="By what its tokens name it; a JWK's own unless given.")
@click.option("--expires", type=MOMENT, help="When it stops: a date, a time, or a length of time from now.")
@json_option
@pass_shell
def add(
    shell: Shell, institution: str, public_key: str, kid: str | None, expires: Moment | None, as_json: bool
) -> None:
    """Register an Ed25519 public key of an institution.

    KEY is a file (- is standard input) with PEM or a JWK, or the key itself in base64. Several can be in use
    at once, so that a new one can take over from an old one while tokens of both are about.
    """
    now = shell.clock.now_ms()
    text = _text(public_key)
    try:
        read_public_key(text)
    except UnfitKey as unfit:
        raise click.BadParameter(str(unfit), param_hint="KEY") from unfit
    verb = verbs.CreatePublicKey(
        institution=institution,
        key=text,
        kid=kid,
        expires_at=None if expires is None else iso_time(expires.ahead(now)),
    )
    show(asdict(act(shell, verb)), as_json=as_json)


@key.command("list")
@click.argument("institution", required=False)
@json_option
@pass_shell
def list_(shell: Shell, institution: str | None, as_json: bool) -> None:
    """All public keys, or an institution's."""
    rows = every(shell, verbs.ListPublicKeys(institution=institution, limit=200))
    records = [asdict(row) for row in rows]
    columns = ("kid", "active", "expires_at", "created_at", "institution_id", "public_key_id")
    empty = "There is no public key; register one with: quantized institution key add INSTITUTION KEY"
    show_all(records, columns, as_json=as_json, empty=empty)


@key.command("show")
@click.argument("public_key", metavar="KEY")
@json_option
@pass_shell
def show_(shell: Shell, public_key: str, as_json: bool) -> None:
    """One public key, named by its id or kid."""
    show(asdict(act(shell, verbs.ShowPublicKey(public_key=public_key))), as_json=as_json)


@key.command()
@click.argument("public_key", metavar="KEY")
@click.option(
    "--expires",
    type=EXPIRY,
    required=True,
    help="When it stops: a date, a time, a length of time from now, or 'none'.",
)
@json_option
@pass_shell
def update(shell: Shell, public_key: str, expires: Moment | Literal["none"], as_json: bool) -> None:
    """Say when a public key stops."""
    expires_at = None if expires == "none" else iso_time(expires.ahead(shell.clock.now_ms()))
    verb = verbs.UpdatePublicKey(public_key=public_key, expires_at=expires_at)
    show(asdict(act(shell, verb)), as_json=as_json)


@key.command()
@click.argument("public_key", metavar="KEY")
@json_option
@pass_shell
def deactivate(shell: Shell, public_key: str, as_json: bool) -> None:
    """Refuse all tokens of a public key, named by its id or kid; the gateway follows within seconds."""
    _set_active(shell, public_key, False, as_json=as_json)


@key.command()
@click.argument("public_key", metavar="KEY")
@json_option
@pass_shell
def activate(shell: Shell, public_key: str, as_json: bool) -> None:
    """Accept the tokens of a public key again."""
    _set_active(shell, public_key, True, as_json=as_json)


def _set_active(shell: Shell, public_key: str, active: bool, *, as_json: bool) -> None:
    verb = verbs.UpdatePublicKey(public_key=public_key, active=active)
    show(asdict(act(shell, verb)), as_json=as_json)


def _text(said: str) -> str:
    """The key itself, or what is in the file that is named. Raises ClickException."""
    path = Path(said)
    try:
        if said == "-":
            return sys.stdin.read(LONGEST + 1)
        if not path.is_file():
            return said
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(LONGEST + 1)
    except OSError as error:
        raise click.ClickException(f"cannot read {said}: {error.strerror}") from error
