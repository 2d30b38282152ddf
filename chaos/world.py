"""The processes: gateways with their workers, the database, and all that befalls them."""

import json
import os
import random
import re
import signal
import subprocess
import threading
import time
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path

import psycopg
from click.testing import Result
from gateway_process import GatewayProcess, eventually
from postgres_server import PostgresServer, postgres_server

from chaos import books
from chaos.crowd import Customer
from chaos.upstream import MODEL, Upstream

WORKERS = 2
_SETTINGS = """
default_provider = "hostile"
port = 0
workers = {workers}
demo = false
shutdown_seconds = 1
[retries]
longest_wait = 0.5
[providers.hostile]
base_url = "http://127.0.0.1:{port}/v1"
api_key_env = "HOSTILE_API_KEY"
[providers.hostile.models."{model}"]
rates = {{ input = 2.0, output = 8.0 }}
max_output_tokens = 1000
"""
INPUT, OUTPUT = 2, 8
_DURABLE = {"fsync": "on", "full_page_writes": "on"}
_DEATHS_BORNE = 3
"""A supervisor waits longer for each worker that died within a minute: after so many it is started anew."""
_LICENSES = 6
_LIMITS = ("--parallel-requests", "4", "--user-allowance", "0.1")


class Machine:
    """One gateway: a supervisor and its workers, of which any may be gone."""

    def __init__(self, room: Path, upstream: Upstream, environ: dict[str, str]) -> None:
        room.mkdir()
        settings = _SETTINGS.format(workers=WORKERS, port=upstream.port, model=MODEL)
        self.gateway = GatewayProcess(room, settings, environ)
        self.deaths = 0
        self._orphans: list[int] = []

    def start(self) -> None:
        self.gateway.start()
        self.deaths = 0
        eventually(self._all_serve, "the workers serve", 60)

    def _all_serve(self) -> bool:
        said = re.findall(r'"message":"serving".*?"pid":(\d+)', self.gateway.log_path.read_text())
        workers = self.workers()
        return len(workers) == WORKERS and set(workers) <= set(map(int, said))

    def workers(self) -> list[int]:
        process = self.gateway.process
        if process is None or process.poll() is not None:
            return []
        with suppress(FileNotFoundError, ProcessLookupError):
            listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
            return [int(pid) for pid in listed.split()]
        return []

    def kill_worker(self, chance: random.Random) -> None:
        if workers := self.workers():
            self.deaths += 1
            _tell(chance.choice(workers), signal.SIGKILL)

    def freeze_worker(self, chance: random.Random, seconds: float) -> None:
        """It is taken for dead, and comes back."""
        if workers := self.workers():
            pid = chance.choice(workers)
            _tell(pid, signal.SIGSTOP)
            time.sleep(seconds)
            _tell(pid, signal.SIGCONT)

    def kill(self) -> None:
        """Supervisor and workers, as when their machine fails."""
        for pid in self.workers():
            _tell(pid, signal.SIGKILL)
        self._end(signal.SIGKILL)

    def kill_supervisor(self) -> None:
        """Its workers notice, and stop by themselves."""
        self._orphans += self.workers()
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def restore(self) -> None:
        """Whatever is gone is started anew."""
        eventually(lambda: not any(map(_works, self._orphans)), "workers outlive their supervisor", 60)
        self._orphans.clear()
        if self.gateway.process is not None and self.gateway.process.poll() is None:
            if self.deaths < _DEATHS_BORNE:
                eventually(self._all_serve, "the workers are replaced", 60)
                return
            self.stop()
        self.start()

    def kill_orphans(self) -> None:
        for pid in filter(_works, self._orphans):
            _tell(pid, signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        process = self.gateway.process
        assert process is not None
        # Where it has ended already, this tells nobody.
        process.send_signal(how)
        try:
            process.wait(50)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the gateway does not stop: {self.gateway.log_path}") from None


class World:
    """What a run plays in. Ends all that it started."""

    def __init__(self, kind: str, folder: Path, seed: str, customers: int) -> None:
        """`kind`: postgresql (two gateways) or sqlite (one)."""
        self._stack = ExitStack()
        self.postgres: PostgresServer | None = None
        self.upstream = Upstream(seed)
        try:
            self._build(kind, folder, customers)
        except BaseException:
            self.close()
            raise

    def _build(self, kind: str, folder: Path, customers: int) -> None:
        self.upstream.start()
        self._stack.callback(self.upstream.stop)
        if kind == "postgresql":
            self.postgres = self._stack.enter_context(postgres_server(**_DURABLE))
            with psycopg.connect(self.postgres.url, autocommit=True) as connection:
                connection.execute("CREATE DATABASE books")
            self.url = self.postgres.url_of("books")
        else:
            self.url = f"sqlite:///{folder / 'books.db'}"
        environ = {"QUANTIZED_DATABASE_URL": self.url}
        count = 2 if kind == "postgresql" else 1
        self.machines = [Machine(folder / f"gateway-{n + 1}", self.upstream, environ) for n in range(count)]
        self._stack.callback(self._end_gateways)
        self.cli = self.machines[0].gateway.cli
        self.cli("init")
        self.customers = self._customers(customers)
        starting = [threading.Thread(target=machine.start) for machine in self.machines]
        for thread in starting:
            thread.start()
        for thread in starting:
            thread.join()

    def addresses(self) -> list[str]:
        return [machine.gateway.url for machine in self.machines]

    def top_up(self, chance: random.Random) -> None:
        """Small balances, of which some will run dry."""
        balances = books.balances(self.url)
        for license_id in {customer.license_id: None for customer in self.customers}:
            missing = chance.choice([500, 2_000, 10_000, 100_000]) - balances[license_id]
            if missing > 0:
                self.cli("license", "grant", license_id, "--micro", str(missing))

    def unsettled(self, since: int) -> list[str]:
        """The holds that `quantized ledger unsettled` lists of those that were taken since, in Unix
        milliseconds."""
        done = self.run("ledger", "unsettled", "--json")
        assert done.exit_code == 0, done.output
        listed = map(json.loads, done.stdout.splitlines())
        return [hold["hold_id"] for hold in listed if _milliseconds(hold["taken_at"]) >= since]

    def run(self, *words: str) -> Result:
        """A command of the command line."""
        return self.machines[0].gateway.run(*words)

    def restart_postgres(self, how: signal.Signals, away: float) -> None:
        """`how`: SIGQUIT as in a crash, SIGINT rolls back what is under way."""
        assert self.postgres is not None
        self.postgres.stop(how)
        time.sleep(away)
        self.postgres.start()

    def restore(self) -> None:
        for machine in self.machines:
            machine.restore()

    def quiet(self, seconds: float) -> float:
        """The seconds it took until no hold was open any more; raises AssertionError."""
        began = time.monotonic()
        eventually(lambda: books.open_holds(self.url) == 0, "every hold has ended", seconds)
        return time.monotonic() - began

    def close(self) -> None:
        self._stack.close()

    def _customers(self, count: int) -> list[Customer]:
        """Every other licence has limits, and its users allowances."""
        self.cli("license-type", "create", "home", "limited", *_LIMITS)
        licences = [
            self.machines[0].gateway.licence(
                "0.0005", type_="home/limited" if number % 2 else "home/standard"
            )
            for number in range(min(_LICENSES, count))
        ]
        made = []
        for number in range(count):
            licence = licences[number % len(licences)]
            key = self.cli("key", "create", licence.id, "--user-id", f"user-{number}")
            made.append(Customer(licence.id, key["key_id"], key["api_key"]))
        return made

    def _end_gateways(self) -> None:
        for machine in self.machines:
            process = machine.gateway.process
            if process is not None and process.poll() is None:
                machine.kill()
            machine.kill_orphans()


def _tell(pid: int, what: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, what)


def _works(pid: int) -> bool:
    """Whether this is a worker that runs still."""
    try:
        return b"quantized.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return False


def _milliseconds(moment: str) -> int:
    return round(datetime.fromisoformat(moment).timestamp() * 1000)
