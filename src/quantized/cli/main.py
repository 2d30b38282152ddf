"""The command `quantized`: what there is, and the one place that hands the environment in."""

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import click

from quantized import __version__
from quantized.cli.shell import Shell
from quantized.clock import SystemClock

# Where each command is, and its line in the help. The modules are imported when they are used: the database's
# library alone takes longer to import than a help text may take to appear.
_COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": ("quantized.cli.init", "Prepare the database, and print a key and a call to try it with."),
    "serve": ("quantized.cli.serve", "Run the gateway."),
    "migrate": ("quantized.cli.serve", "Bring the database up to this version's schema."),
    "institution": ("quantized.cli.institutions", "Institutions."),
    "license-type": (
        "quantized.cli.license_types",
        "Licence types: rates, mark-up, what a licence begins with.",
    ),
    "license": ("quantized.cli.licenses", "Licences and their credits."),
    "key": ("quantized.cli.keys", "API keys."),
    "roster": ("quantized.cli.rosters", "Rosters: a file of people who get access together."),
    "ledger": ("quantized.cli.ledger", "The books: verify them, show an account's statement."),
    "jwt": ("quantized.cli.jwt", "Signed tokens: keys for them, one to try, why one is refused."),
    "admin-key": ("quantized.cli.admin_keys", "Admin keys, for the administration API."),
    "audit-log": ("quantized.cli.audit_log", "Who did what, and whether the log is whole."),
    "usage": ("quantized.cli.usage", "What was used, as a table, CSV or JSON."),
    "models": ("quantized.cli.models", "The models that can be called, and their rates."),
}


class LazyGroup(click.Group):
    """Knows its commands by name; imports one when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(_COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="The settings' file, instead of QUANTIZED_CONFIG or quantized.toml.",
)
@click.option(
    "--url",
    metavar="URL",
    envvar="QUANTIZED_ADMIN_URL",
    help="Administer the gateway at this URL (also QUANTIZED_ADMIN_URL) by its API, with the admin key in "
    "QUANTIZED_ADMIN_KEY, instead of the database.",
)
@click.version_option(__version__, prog_name="quantized")
@click.pass_context
def cli(ctx: click.Context, config: Path | None, url: str | None) -> None:
    """A metered, OpenAI-compatible gateway.

    Who is meant by INSTITUTION, TYPE, LICENSE or KEY may be said by id, by the beginning of an id (4
    characters or more), or by alias; for a licence that is its unique id, for a key the shown prefix.

    Exit status: 0 done, 1 failed, 2 not understood.
    """
    ctx.obj = Shell(os.environ, config, SystemClock(), url or None)


def main() -> None:
    cli(prog_name="quantized")
