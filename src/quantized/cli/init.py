"""`quantized init`: from nothing to a key that works. Said again, it changes nothing and prints the same."""

import json
import shlex
from pathlib import Path

import click
from msgspec import Struct

from quantized.administration import verbs
from quantized.administration.faults import NotThere
from quantized.administration.records import LicenseRecord
from quantized.auth import api_key
from quantized.cli.acting import Saying, act, together
from quantized.cli.arguments import CREDITS
from quantized.cli.first_key import FirstKeyFile, first_key_file, first_key_path
from quantized.cli.output import credits_text
from quantized.cli.records import DatabaseCommand
from quantized.cli.shell import Shell, json_option, pass_shell, print_json
from quantized.settings import Settings
from quantized.storage.database import database
from quantized.storage.desk import Desk
from quantized.storage.migrate import is_current, migrate

_INSTITUTION = "home"
_TYPE = "standard"
_LICENSE = "first"
_DEMO_MODEL = "quantized/demo"


class First(Struct, frozen=True):
    """What is there to begin with. `secret` and `key_id` are None where the first licence is deactivated."""

    license: LicenseRecord
    secret: str | None = None
    key_id: str | None = None


@click.command(cls=DatabaseCommand)
@click.option("--credits", "credits_", type=CREDITS, default="5", help="What the first licence begins with.")
@json_option
@pass_shell
def init(shell: Shell, credits_: int, as_json: bool) -> None:
    """Prepare the database, and print a key and a call to try it with.

    On first use this makes an institution, a licence type, a licence with credits and a key. That one key is
    kept in a file beside the database (in var/ for PostgreSQL), readable by its owner alone, so that this can
    be repeated: it then changes nothing, but for a key in the place of one that no longer works.
    """
    # The database of this machine, whichever gateway is administered otherwise.
    shell = shell.here
    settings = shell.settings(need_keys=True)
    if not is_current(settings.database_url):
        migrate(settings.database_url)
    path = first_key_path(database(settings.database_url).belongings)
    try:
        with first_key_file(path) as kept:
            first = _first(shell, settings.database_url, kept, credits_)
    except OSError as error:
        raise click.ClickException(f"cannot keep the first key in {path}: {error.strerror}") from error
    if as_json:
        print_json(_record(settings, path, first))
    else:
        click.echo(_greeting(settings, path, first))


def _first(shell: Shell, url: str, kept: FirstKeyFile, amount: int) -> First | None:
    """None where the database was set up by hand, and has no first licence of ours."""
    with together(shell, url) as say:
        if not say(verbs.ListInstitutions(limit=1)).data:
            _found(say, amount)
    row = _founded(shell)
    if row is None:
        return None
    if not row.active:
        return First(row)
    return First(row, *_working_key(shell, url, kept, row))


def _found(say: Saying, amount: int) -> None:
    say(verbs.CreateInstitution(alias=_INSTITUTION, name="Home"))
    type_ = say(
        verbs.CreateLicenseType(
            institution=_INSTITUTION, alias=_TYPE, name="Standard", default_micro_credits=amount
        )
    )
    say(verbs.CreateLicense(license_type=type_.license_type_id, unique_id=_LICENSE, name="First licence"))


def _founded(shell: Shell) -> LicenseRecord | None:
    try:
        type_ = act(shell, verbs.ShowLicenseType(license_type=f"{_INSTITUTION}/{_TYPE}"))
    except NotThere:
        return None
    wanted = verbs.ListLicenses(license_type=type_.license_type_id, unique_id=_LICENSE)
    return next(iter(act(shell, wanted).data), None)


def _working_key(shell: Shell, url: str, kept: FirstKeyFile, row: LicenseRecord) -> tuple[str, str]:
    """The kept key if it still opens this licence, otherwise a new one, kept in its place; and its id."""
    secret = kept.read()
    if secret:
        with Desk(url).reading() as session:
            key = session.key_by_digest(api_key.digest(secret))
        if key and key.license_id == row.license_id and key.works(shell.clock.now_ms()):
            return secret, key.id
    with together(shell) as say:
        made = say(verbs.CreateKey(license=row.license_id, name="first key"))
        minted = made.api_key or ""
        # Kept before it counts: a key that works and that nobody has is worse than one that does not.
        kept.write(minted)
    return minted, made.key_id


def base_url(settings: Settings) -> str:
    """Where callers reach the gateway."""
    return f"{settings.site}/v1"


def _record(settings: Settings, path: Path, first: First | None) -> dict[str, object]:
    row = first.license if first else None
    return {
        "base_url": base_url(settings),
        "api_key": first.secret if first else None,
        "key_file": str(path) if first and first.secret else None,
        "institution_id": row.institution_id if row else None,
        "license_type_id": row.license_type_id if row else None,
        "license_id": row.license_id if row else None,
        "key_id": first.key_id if first else None,
        "available_micro_credits": row.available_micro_credits if row else None,
    }


def _greeting(settings: Settings, path: Path, first: First | None) -> str:
    lines = [f"Base URL  {base_url(settings)}"]
    if first is None:
        lines += ["", "The database was set up by hand; for a key: quantized key create LICENSE"]
    elif first.secret is None:
        lines += [
            "",
            f"The first licence is deactivated; quantized license activate {first.license.license_id}",
        ]
    else:
        remaining = first.license.available_micro_credits
        shown = "unlimited" if remaining is None else credits_text(remaining)
        lines += [f"API key   {first.secret}  (kept in {path})", f"Credits   {shown}", "", "Try it:", ""]
        lines.append(_curl(settings, first.secret))
    return "\n".join(["", *lines, ""])


def _curl(settings: Settings, secret: str) -> str:
    model = _DEMO_MODEL if settings.demo else "MODEL"
    body = {"model": model, "messages": [{"role": "user", "content": "What is the capital of France?"}]}
    words = (
        "curl",
        f"{base_url(settings)}/chat/completions",
        "-H",
        f"Authorization: Bearer {secret}",
        "-H",
        "Content-Type: application/json",
        "-d",
        json.dumps(body),
    )
    return shlex.join(words)
