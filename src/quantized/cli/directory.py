"""The directory, opened for a command."""

from quantized.cli.records import database_url
from quantized.cli.shell import Shell
from quantized.storage.directory import Directory
from quantized.storage.engine import open_engine


def open_directory(shell: Shell) -> Directory:
    """Raises as `database_url` does."""
    return Directory(open_engine(database_url(shell)))
