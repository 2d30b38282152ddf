"""What every command is given: settings, clock and, where it asks for it, the database."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import click

from quantized.core.ports import Clock
from quantized.settings import Settings, SettingsError, load
from quantized.storage.database import DatabaseUnusable, database


@dataclass(frozen=True)
class Shell:
    """`config` is the file that the command line names, if it does. `url` is that of a gateway whose API is
    to do what is said, instead of the database that the settings name."""

    environ: Mapping[str, str]
    config: Path | None
    clock: Clock
    url: str | None = None

    @property
    def here(self) -> "Shell":
        """For what is this machine's, whatever is administered elsewhere."""
        return replace(self, url=None)

    def settings(self, *, need_keys: bool = False) -> Settings:
        """Raises ClickException with every mistake."""
        try:
            return load(
                self.environ, self.config, need_keys=need_keys, judge_database=_what_is_wrong_with_database
            )
        except SettingsError as error:
            lines = "\n".join(f"  {place}: {what}" for place, what in error.mistakes)
            raise click.ClickException(f"the settings have mistakes:\n{lines}") from error


def _what_is_wrong_with_database(url: str) -> str | None:
    try:
        database(url)
    except DatabaseUnusable as error:
        return str(error)
    return None


pass_shell = click.make_pass_decorator(Shell)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
