"""`quantized serve` and `quantized migrate`."""

import click

from quantized.cli.records import DatabaseCommand, database_url
from quantized.cli.shell import Shell, pass_shell
from quantized.listening import CannotListen
from quantized.settings_schema import WORKERS
from quantized.settings_values import Mistakes
from quantized.storage.migrate import HEAD, is_current
from quantized.storage.migrate import migrate as migrate_database


def _workers(_: click.Context, __: click.Parameter, text: str | None) -> int | str | None:
    if text is None:
        return None
    mistakes = Mistakes()
    count: int | str = mistakes.judge("", WORKERS, WORKERS.from_text(text))
    if mistakes.found:
        raise click.BadParameter(mistakes.found[0][1])
    return count


@click.command(cls=DatabaseCommand)
@click.option(
    "--workers",
    metavar="N",
    callback=_workers,
    help="How many processes serve, instead of the setting `workers`; auto: one on each processor.",
)
@pass_shell
def serve(shell: Shell, workers: int | str | None) -> None:
    """Run the gateway until it is told to stop (Ctrl-C or SIGTERM).

    The first signal lets requests end, a second one ends them at once; all are settled.
    """
    # Brings asyncio, which no help text and no `migrate` has any use for.
    from quantized.supervisor import CannotStart, cores, supervise  # noqa: PLC0415

    settings = shell.settings(need_keys=True)
    database_url(shell.here)
    wanted = settings.workers if workers is None else workers
    count = cores() if wanted == "auto" else int(wanted)
    try:
        if count > 1:
            supervise(settings, count)
        else:
            # The whole gateway, which neither `migrate` nor a supervisor has any use for.
            from quantized.server import serve as serve_alone  # noqa: PLC0415

            serve_alone(settings)
    except CannotStart as error:
        raise click.ClickException(f"{error}. Its reason is in the log above.") from error
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
