"""The benchmark starts, measures, agrees with the ledger and leaves nothing behind. No figure is judged."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

needs_tools = pytest.mark.skipif(
    any(
        shutil.which(tool, path=f"{os.environ['PATH']}:/usr/sbin") is None
        for tool in ("nginx", "cc", "taskset")
    )
    or not {0, 1} <= os.sched_getaffinity(0),
    reason="the benchmark needs nginx, a C compiler, taskset and two cores",
)


def bench(*arguments: str, folder: Path, path: str | None = None) -> subprocess.Popen[str]:
    environ = {**os.environ, "TMPDIR": str(folder)} | ({"PATH": path} if path is not None else {})
    return subprocess.Popen(
        [sys.executable, "-m", "bench.run", *arguments],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@needs_tools
@pytest.mark.parametrize(
    ("rows", "lines"),
    [
        (
            ("json", "responses-stream", "responses-others"),
            ("json", "json_latency", "responses_stream", "responses_others"),
        ),
        (("json-postgres",), ("json_postgres", "json_postgres_latency", "json_postgres_server")),
        (("json-token",), ("json_token", "json_token_to_key")),
    ],
)
def test_a_short_run_agrees_with_the_ledger(
    tmp_path: Path, rows: tuple[str, ...], lines: tuple[str, ...]
) -> None:
    written = tmp_path / "figures.json"
    chosen = [word for row in rows for word in ("--only", row)]
    arguments = ("--seconds", "0.2", "--rounds", "1", *chosen, "--json", str(written))
    running = bench(*arguments, folder=tmp_path)
    output, complaints = running.communicate(timeout=200)
    assert running.returncode == 0, complaints
    assert "JSON, 64 connections" in output
    figures = json.loads(written.read_text())
    assert tuple(line["key"] for line in figures["lines"]) == lines
    for line in figures["lines"]:
        ours, theirs = line["gateway"][0], line["nginx"][0]
        if "ratio" in line:
            assert line["ratio"][0] == pytest.approx(ours / theirs)
        else:
            assert line["difference"][0] == pytest.approx(ours - theirs)
    assert "charged all of" in figures["ledger"]
    assert [left.name for left in tmp_path.iterdir()] == ["figures.json"]


@needs_tools
def test_stopped_it_stops_what_it_started(tmp_path: Path) -> None:
    running = bench("--only", "json", "--seconds", "30", folder=tmp_path)
    assert running.stderr is not None
    try:
        # The name of the first row is written when all is up.
        said = running.stderr.read(4)
        assert said == "json", said + running.stderr.read()
        (folder,) = tmp_path.iterdir()
        ours = processes_in(folder)
        assert len(ours) > 2
        running.send_signal(signal.SIGINT)
        running.wait(timeout=200)
    finally:
        running.kill()
        running.communicate()
    assert running.returncode == 130
    assert processes_in(folder) == []
    assert not folder.exists()


def processes_in(folder: Path) -> list[str]:
    """The processes that work in this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.joinpath("cwd").readlink() == folder:
                found.append(process.name)
        except OSError:
            continue
    return found


def test_missing_tools_are_named_with_what_would_help(tmp_path: Path) -> None:
    running = bench("--quick", folder=tmp_path, path=str(tmp_path))
    _, complaints = running.communicate(timeout=200)
    assert running.returncode == 2
    assert "taskset" in complaints
    assert "apt-get install" in complaints
