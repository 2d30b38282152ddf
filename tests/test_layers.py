"""The layers of the house hold: who may import whom, and who alone touches the outside world."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent / "src" / "quantized"

# Room -> the rooms it may import, beside itself. `catalog.model` is plain data and is open to those named.
ALLOWED = {
    "core": set(),
    "wire": {"core"},
    "surfaces": {"core", "wire", "catalog.model"},
    "providers": {"core", "wire", "catalog.model", "upstream.call"},
    "upstream": {"core", "providers.provider"},
    "catalog": {"core", "settings_providers"},
    "auth": {"core", "storage"},
    "ledger": {"core", "storage"},
    "conversations": {"core", "storage"},
    "administration": {"core", "auth", "ledger", "storage"},
    "admin": {"core", "wire", "administration", "http.messages", "http.docs"},
    "storage": {"core"},
    "gateway": {
        "core",
        "wire",
        "catalog",
        "providers.provider",
        "providers.registry",
        "surfaces.surface",
        "upstream.call",
    },
    "http": {"core", "surfaces", "auth", "gateway", "catalog", "conversations", "providers.registry"},
    "settings": {"core"},
    "logs": {"gateway.journal"},
}

# Module of the outside world -> the only rooms that may import it.
SOLE_IMPORTERS = {
    "starlette": {"http", "admin", "app"},
    "uvicorn": {"server"},
    "uvloop": {"server"},
    "sqlite3": {"storage"},
    "psycopg": {"storage"},
    "sqlalchemy": {"storage"},
    "alembic": {"storage"},
    "httptools": {"upstream", "http"},
    "httpx2": {"catalog"},
    "time": {"clock", "upstream"},
    "click": {"cli"},
    "rich": {"cli"},
    "botocore": {"providers"},
    "cryptography": {"auth"},
}


@cache
def imports() -> tuple[tuple[str, str, str], ...]:
    """(file, its room, what it imports) for every import of the source, those inside functions too."""
    return tuple(_imports())


def _imports() -> Iterator[tuple[str, str, str]]:
    for path in sorted(SOURCE.rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: relative import"
                yield str(path), parts[0], node.module or ""
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    yield str(path), parts[0], alias.name


def test_rooms_import_only_the_rooms_below_them() -> None:
    wrong = []
    for path, room, name in imports():
        if not name.startswith("quantized."):
            continue
        target = name.removeprefix("quantized.")
        allowed = ALLOWED.get("settings" if room.startswith("settings_") else room)
        if allowed is None or target.split(".")[0].split("_")[0] == room.split("_")[0]:
            continue  # app and cli know everyone; a room knows itself
        if not any(target == each or target.startswith(f"{each}.") for each in allowed):
            wrong.append(f"{path} ({room}) imports {target}")
    assert wrong == []


@pytest.mark.parametrize("outside", SOLE_IMPORTERS)
def test_the_outside_world_has_one_importer_each(outside: str) -> None:
    wrong = [
        f"{path} imports {name}"
        for path, room, name in imports()
        if name.split(".")[0] == outside and room not in SOLE_IMPORTERS[outside]
    ]
    assert wrong == []


def test_only_settings_and_the_command_line_read_the_environment() -> None:
    readers = [
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if "os.environ" in path.read_text() or "getenv" in path.read_text()
    ]
    assert all(reader.startswith(("cli/", "settings")) for reader in readers), readers


def test_no_vendor_is_named_in_shared_code() -> None:
    shared = set(ALLOWED) - {"providers", "settings", "logs"}
    vendors = ("openrouter", "anthropic", "bedrock", "gemini")
    found = []
    for room in shared:
        for path in (SOURCE / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Compare):
                    text = ast.unparse(node).lower()
                    found += [f"{path}:{node.lineno}: {text}" for vendor in vendors if vendor in text]
    assert found == []


def test_no_surface_is_told_apart_below_the_edge() -> None:
    """A dialogue is all that the gateway and what it calls know of surfaces."""
    surfaces = {path.name for path in (SOURCE / "surfaces").iterdir() if (path / "__init__.py").exists()}
    assert surfaces >= {"chat", "responses"}
    found = []
    for room in ("core", "gateway", "providers", "ledger", "catalog", "upstream"):
        for path in (SOURCE / room).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Compare | ast.MatchValue | ast.Dict):
                    said = {part.value for part in ast.walk(node) if isinstance(part, ast.Constant)}
                    found += [f"{path}:{node.lineno}: {name}" for name in surfaces & said]
    assert found == []
