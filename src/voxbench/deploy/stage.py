"""What stands in for the platform: starts an entry point behind walls, asks it, and writes down what happened.

Run as ``python -m voxbench.deploy.stage PLAN.json``, where possible in namespaces of its own (`walls`).
"""

from __future__ import annotations

import http.client
import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from shlex import quote
from typing import Any

HEALTHY_S, INVOKED_S = 90.0, 300.0
"""The platform's own limits of its test."""
SHARED_MB = 64
"""Of /dev/shm, a small one."""
PYTHON = "import sys; from voxbench.deploy.isolation import main; sys.exit(main())"


def walls(read_only: Sequence[Path], writable: Sequence[Path]) -> list[str] | None:
    """The start of a command that runs the rest of it without network, over a disk that cannot be written to.

    Args:
        read_only: Folders that stay as they are, though a folder around them may be written to.
        writable: Folders that can be written to.

    Returns:
        None where the system does not let us (not Linux, or no user namespaces).
    """
    lines = ["set -e", f"mount -t tmpfs -o size={SHARED_MB}m tmpfs /dev/shm"]
    lines += [f"mount --bind {quote(str(folder))} {quote(str(folder))}" for folder in (*writable, *read_only)]
    lines += [f"mount -o remount,ro,bind {quote(str(folder))}" for folder in read_only]
    lines += ["mount -o remount,ro,bind /", 'exec "$@"']
    start = ["unshare", "--user", "--map-root-user", "--net", "--mount", "sh", "-c", "\n".join(lines), "sh"]
    try:
        tried = subprocess.run([*start, "true"], capture_output=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return start if tried.returncode == 0 else None


def play(plan: dict[str, Any]) -> dict[str, Any]:
    """Start the entry point of a plan and do with it what the platform does.

    Args:
        plan: ``command`` (arguments of voxbench), ``writable`` (folders), ``work`` (where it starts), ``times`` (how
            often it is invoked; 0: it ends by itself).

    Returns:
        ``code``, ``seconds`` (wall), ``cpu_s``, ``memory_mb``, ``errors``; of a server also ``health``, ``ready_s``,
        ``invoked``.
    """
    _loopback_up()
    command = [sys.executable, "-c", PYTHON, *plan["writable"], "--", *plan["command"]]
    port = _free_port() if plan["times"] else 0
    command += ["--port", str(port)] if port else []
    start = time.monotonic()
    with Path(plan["errors"]).open("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            command, cwd=plan["work"], stdout=errors, stderr=errors, env=plan["environment"] | _threads()
        )
        try:
            asked = _ask(process, port, plan["times"]) if port else {}
            if port:
                process.terminate()
            code = process.wait(INVOKED_S * 2)
        finally:
            process.kill()
            process.wait()
        errors.seek(0)
        said = errors.read()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "code": code,
        "seconds": time.monotonic() - start,
        "cpu_s": used.ru_utime + used.ru_stime,
        "memory_mb": used.ru_maxrss / 1024,
        "errors": said[-2000:],
    } | asked


def _ask(process: subprocess.Popen[bytes], port: int, times: int) -> dict[str, Any]:
    """Wait until it is healthy, then invoke it."""
    start = time.monotonic()
    health = 0
    while process.poll() is None and time.monotonic() - start < HEALTHY_S and health != 200:
        health = _request(port, "GET", "/health", 5)[0]
        time.sleep(0.1 if health != 200 else 0)
    ready = time.monotonic() - start
    answers = [_request(port, "POST", "/invoke", INVOKED_S) for _ in range(times)] if health == 200 else []
    return {"health": health, "ready_s": ready, "invoked": answers}


def _request(port: int, method: str, path: str, seconds: float) -> tuple[int, str]:
    """Status and body; 0 where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _loopback_up() -> None:
    """A new network has a loopback that is down; where there is none of our own this is refused, and not needed."""
    try:
        import fcntl
        import struct

        with socket.socket() as any_socket:
            fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: up, running
    except (ImportError, OSError):
        return


def _threads() -> dict[str, str]:
    return {name: os.environ[name] for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY") if name in os.environ}


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    Path(given["report"]).write_text(json.dumps(play(given)), encoding="utf-8")
