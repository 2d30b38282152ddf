"""What the benchmark asks of the machine: tools, two cores, ports, and processes that end with it."""

import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

HERE = Path(__file__).parent
OUT = HERE / "out"

GATEWAY_CORE = 0
"""Where the gateway and nginx run, one at a time; load and mock upstreams share the other core."""

LOAD_CORE = 1

_PACKAGES = {"nginx": "nginx-light", "cc": "gcc", "taskset": "util-linux"}
_STOP_SECONDS = 10.0


class Unable(Exception):
    """The benchmark cannot be run here; the message says what would help."""


def check_machine() -> None:
    """Raises Unable."""
    # nginx lives where an ordinary user's PATH does not reach.
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin"
    missing = [tool for tool in _PACKAGES if shutil.which(tool) is None]
    if missing:
        packages = " ".join(_PACKAGES[tool] for tool in missing)
        raise Unable(f"not found: {', '.join(missing)}. On Debian: apt-get install {packages}")
    if not {GATEWAY_CORE, LOAD_CORE} <= os.sched_getaffinity(0):
        raise Unable(
            f"two cores are needed, {GATEWAY_CORE} and {LOAD_CORE}, so that load and gateway have their own"
        )


def allow_open_files() -> None:
    """As many as this user may have; a thousand streams through a proxy are two thousand sockets."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 65_536), most))


def compiled(name: str) -> Path:
    """The program made of NAME.c, compiled if it is older than that. Raises Unable."""
    source, program = HERE / f"{name}.c", OUT / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        OUT.mkdir(exist_ok=True)
        made = subprocess.run(
            ["cc", "-O2", "-Wall", "-o", str(program), str(source)],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise Unable(f"{source.name} does not compile:\n{made.stderr}")
    return program


def free_port() -> int:
    """None that the system gives out by itself before it is used."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise Unable("no port is free")


def pinned(core: int | str, command: Sequence[str | Path]) -> list[str]:
    return ["taskset", "--cpu-list", str(core), *map(str, command)]


class Running:
    """A process on one core, and all that it starts, for the length of a `with`. It writes to a file."""

    def __init__(
        self,
        name: str,
        core: int | str,
        command: Sequence[str | Path],
        folder: Path,
        environ: Mapping[str, str],
    ) -> None:
        """`core` may be several, with commas between."""
        self.name = name
        self.output = folder / f"{name}.log"
        with self.output.open("wb") as output:
            # A session of its own: Ctrl-C reaches us alone, and we stop it.
            self._process = subprocess.Popen(
                pinned(core, command),
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def wait_for_port(self, port: int, seconds: float = 60.0) -> None:
        """Raises Unable if nobody listens there in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.02)
        raise Unable(f"{self.name} did not start:\n{self.output.read_text(errors='replace')[-2000:]}")

    def cpu_seconds(self) -> float:
        """Of all its processes that live, in user and in system mode."""
        return process_tree_seconds(self.pid)

    def thread_seconds(self) -> dict[str, float]:
        """CPU time of each thread of the process, by its name and number; in ticks of 10 ms."""
        ticks = os.sysconf("SC_CLK_TCK")
        seconds = {}
        for task in Path(f"/proc/{self.pid}/task").iterdir():
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            seconds[f"{(task / 'comm').read_text().strip()} {task.name}"] = (
                int(fields[11]) + int(fields[12])
            ) / ticks
        return seconds

    def wait(self) -> None:
        """For its own end."""
        self._process.wait()

    def resident_bytes(self) -> int:
        """The memory of all its processes; pages that they share are counted in each."""
        page = os.sysconf("SC_PAGE_SIZE")
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * page for pid in _tree(self.pid))


class OtherWork:
    """What else the two cores do from now on. It worsens all figures, and the gateway's more than nginx's,
    whose code fits a smaller cache."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._busy = _busy_seconds()
        self._ours = _our_seconds()

    def share(self) -> float:
        """0 to 1."""
        others = _busy_seconds() - self._busy - (_our_seconds() - self._ours)
        return max(others / (2 * (time.monotonic() - self._since)), 0.0)


def _busy_seconds() -> float:
    """Of both cores: in user and system mode, for interrupts, and taken by other virtual machines."""
    cores = [f"cpu{GATEWAY_CORE} ", f"cpu{LOAD_CORE} "]
    ticks = 0
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith(tuple(cores)):
            user, nice, system, _idle, _waiting, *interrupts_and_stolen = map(int, line.split()[1:9])
            ticks += user + nice + system + sum(interrupts_and_stolen)
    return ticks / os.sysconf("SC_CLK_TCK")


def _our_seconds() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime + process_tree_seconds(os.getpid())


def process_tree_seconds(root: int) -> float:
    """Of a process and all that it started and that lives."""
    # The kernel's clock of a process by number: exact where /proc counts in ticks of 10 ms.
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in _tree(root))


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _tree(int(child))
