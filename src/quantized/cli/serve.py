"""`quantized serve` and `quantized migrate`."""

import click

from quantized.cli.records import DatabaseCommand, database_url
from quantized.cli.shell import Shell, pass_shell
from quantized.listening import CannotListen
from quantized.storage.migrate import HEAD, is_current
from quantized.storage.migrate import migrate as migrate_database


@click.command(cls=DatabaseCommand)
@pass_shell
def serve(shell: Shell) -> None:
    """Run the gateway until it is told to stop (Ctrl-C or SIGTERM)."""
    settings = shell.settings(need_keys=True)
    database_url(shell)
    # The whole gateway, which `migrate` has no use for.
    from quantized.server import serve as serve_gateway  # noqa: PLC0415

    try:
        serve_gateway(settings)
    except CannotListen as error:
        raise click.ClickException(
            f"{error}. Set QUANTIZED_PORT or QUANTIZED_HOST to an address that is free."
        ) from error


@click.command(cls=DatabaseCommand)
@pass_shell
def migrate(shell: Shell) -> None:
    """Bring the database up to this version's schema. Can be repeated."""
    url = shell.settings().database_url
    if is_current(url):
        click.echo(f"The database has schema {HEAD}; there is nothing to do.")
    else:
        migrate_database(url)
        click.echo(f"The database now has schema {HEAD}.")
