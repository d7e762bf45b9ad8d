"""Start a server in a process of its own; read the memory and the CPU time of processes."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHUTDOWN_SECONDS = 15


def free_port() -> int:
    """Return a port of the loopback address that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def running_app(*arguments: str, folder: Path, **environment: str) -> Iterator[str]:
    """Run `app.py` with these arguments and yield its address. See `start_app`."""
    with start_app(*arguments, folder=folder, **environment) as (url, _):
        yield url


@contextmanager
def start_app(
    *arguments: str, folder: Path, **environment: str
) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Run `app.py` with these arguments; yield its address and its process.

    Args:
        arguments: for the command line.
        folder: for its temporary files and its log.
        environment: variables to set.
    """
    port = free_port()
    command = [sys.executable, str(ROOT / "app.py"), "--port", str(port), "--device", "cpu"]
    environment = {"OMP_NUM_THREADS": "1", **environment}
    with start_server([*command, *arguments], port, folder, environment) as app:
        yield f"http://127.0.0.1:{port}", app


@contextmanager
def start_server(
    command: Sequence[str],
    port: int,
    folder: Path,
    environment: dict[str, str],
    *,
    path: str = "/config",
    poll_seconds: float = 0.3,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command until the block ends; yield its process once it serves a path.

    The process connects to no other host and keeps its temporary files, its log and torch's cache
    in `folder`.

    Args:
        command: the program and its arguments.
        port: on which it will listen.
        folder: its working directory.
        environment: variables to set.
        path: what is requested until the response is 200.
        poll_seconds: pause between two requests.

    Raises:
        RuntimeError: the process ended, or served nothing within two minutes.
    """
    private = {
        "GRADIO_TEMP_DIR": str(folder / "gradio"),
        "GRADIO_ANALYTICS_ENABLED": "False",
        "HF_HUB_OFFLINE": "1",
        "TORCH_HOME": str(folder / "torch"),
    }
    log = folder / "app.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **private, **environment},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait(process, f"http://127.0.0.1:{port}{path}", log, poll_seconds)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(SHUTDOWN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(
    process: "subprocess.Popen[bytes]", url: str, log: Path, pause: float, limit: float = 120
) -> None:
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(pause)
    raise RuntimeError(f"no response from {url}:\n{log.read_text()[-4000:]}")


def resident_mb(pid: int | str = "self", key: str = "VmRSS") -> float:
    """Return the resident memory of a process in megabytes; 0 without /proc.

    Args:
        pid: its number; this process if left out.
        key: VmRSS for the current value, VmHWM for the peak.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(key)), 0.0)


def peak_mb(work: Callable[[], object]) -> tuple[float, float]:
    """Run `work` and return this process's peak memory meanwhile.

    Returns:
        The peak, and the same above the memory before, in megabytes; zeros without /proc.
    """
    try:
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    except OSError:
        return 0.0, 0.0
    before = resident_mb()
    work()
    peak = resident_mb(key="VmHWM")
    return peak, peak - before


def process_cpu(pid: int) -> float:
    """Return the CPU seconds that a process has used so far (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def descendants() -> dict[int, str]:
    """Return the living processes that descend from this one, and their command lines (Linux)."""
    parents, names = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (path / "stat").read_text().rpartition(")")[2].split()[:2]
            names[int(path.name)] = (path / "cmdline").read_text().replace("\0", " ")
        except OSError:  # it has just ended
            continue
        if state != "Z":
            parents[int(path.name)] = int(parent)
    family = {os.getpid()}
    while children := {pid for pid, parent in parents.items() if parent in family} - family:
        family |= children
    return {pid: names[pid] for pid in family - {os.getpid()}}


def descendants_cpu() -> float:
    """Return the CPU seconds of the living processes that descend from this one (Linux)."""
    return sum(process_cpu(pid) for pid in descendants())
