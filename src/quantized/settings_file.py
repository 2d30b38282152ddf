"""`quantized.toml` as it was found: its tables, and the place of everything in it."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from quantized import settings_values as values
from quantized.settings_values import Kind, Mistakes


class SettingsFile:
    """`tables` is empty where the file is not there or cannot be read, which is noted among the mistakes
    unless nobody said that it `must_exist`."""

    def __init__(self, path: Path, mistakes: Mistakes, *, must_exist: bool) -> None:
        self._path = path
        self.mistakes = mistakes
        self.tables = self._read(must_exist=must_exist)

    def place(self, section: str, key: str = "") -> str:
        header = f" [{section}]" if section else ""
        return f"{self._shown_path()}:{header}{' ' if key else ''}{values.shown_key(key) if key else ''}"

    def table(self, section: str, found: object) -> Mapping[str, object]:
        """`found` as the table at `section`; an empty one once the mistake is noted."""
        return values.table(self.mistakes, self.place(section), found)

    def judged(self, section: str, table: Mapping[str, object], kinds: Mapping[str, Kind]) -> dict[str, Any]:
        """What `table` sets of these kinds, by key."""
        return {
            key: self.mistakes.judge(self.place(section, key), kind, table[key])
            for key, kind in kinds.items()
            if key in table
        }

    def refuse_unknown(self, section: str, table: Mapping[str, object], known: tuple[str, ...]) -> None:
        for key in table:
            if key not in known:
                self.mistakes.unknown(self.place(section, key), "setting", key, known)

    def _shown_path(self) -> str:
        return str(self._path).encode("utf-8", "backslashreplace").decode()

    def _read(self, *, must_exist: bool) -> Mapping[str, object]:
        try:
            # NUL in a path is a ValueError, too.
            text = self._path.read_bytes().decode()
        except FileNotFoundError:
            if must_exist:
                self.mistakes.add(self._shown_path(), "there is no such file")
            return {}
        except UnicodeDecodeError:
            self.mistakes.add(self._shown_path(), "is not UTF-8 text")
            return {}
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self.mistakes.add(self._shown_path(), f"cannot be read: {reason}")
            return {}
        try:
            return tomllib.loads(text, parse_float=values.parse_toml_float)
        except ValueError as error:
            self.mistakes.add(self._shown_path(), f"is not TOML: {error}")
        except RecursionError:
            self.mistakes.add(self._shown_path(), "is not TOML: nested too deeply")
        return {}
