"""Inputs read in forked processes that may crash, hang or run out of memory without harm."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.fuzz_archives import MARKER
from bench.fuzz_files import Format
from bench.fuzz_images import Sample

SECONDS = 10.0
"""Of the processor, for one input."""
PATIENCE = 60.0
"""Seconds of the clock, for one that sleeps: others use the machine too."""
MEMORY = 2 << 30
"""Address space beyond what the process had when it was forked."""


def spoiled(form: Format, samples: Sequence[Sample], seed: int, number: int) -> tuple[Sample, str, int]:
    """Input ``number`` of a format: the files, how they were spoilt, and which reader gets them."""
    rng = np.random.default_rng([seed, number, sum(form.name.encode())])
    sample = samples[rng.integers(len(samples))]
    names = sorted(sample.files)
    name = sample.entry if sample.entry and rng.random() < 0.7 else names[rng.integers(len(names))]
    data = sample.files[name]
    how = []
    for _ in range(1 if rng.random() < 0.8 else 2):
        if rng.random() < 0.05:
            other = samples[rng.integers(len(samples))]
            rest = other.files[sorted(other.files)[rng.integers(len(other.files))]]
            data = data[: int(rng.integers(0, len(data) + 1))] + rest[int(rng.integers(0, len(rest) + 1)) :]
            how.append("spliced")
        else:
            kinds = [k for k in form.mutations if "bomb" not in k or rng.random() < 0.3]
            kind = kinds[rng.integers(len(kinds))]
            data = form.mutations[kind](data, rng)
            how.append(kind)
            if "bomb" in kind:  # unpacking it to spoil what is inside would take the time that is the reader's
                break
    return Sample({**sample.files, name: data}, sample.entry), " + ".join(how), int(rng.integers(len(form.readers)))


def unread(form: Format, home: Path) -> list[str]:
    """Samples that none of the readers reads before they are spoilt; there must be none."""
    tried_by_all = (
        (s, [tried(form, s, reader, home)["what"] for reader in range(len(form.readers))]) for s in form.samples()
    )
    return [sample.entry or "folder" for sample, found in tried_by_all if "read" not in found]


def outcomes(form: Format, seed: int, numbers: Sequence[int], scratch: Path | None = None) -> Iterator[dict[str, Any]]:
    """What came of each input: read, refused, crash, silent, hang, over memory, outside or unpickled."""
    samples = form.samples()
    left = list(numbers)
    while left:
        worker = _Worker(form, samples, seed, left, scratch)
        for found in worker:
            yield found
            left.remove(found["number"])


class _Worker:
    """A forked process that reads inputs one after another and tells of each; it ends at the first that goes wrong."""

    def __init__(
        self, form: Format, samples: Sequence[Sample], seed: int, numbers: Sequence[int], scratch: Path | None
    ) -> None:
        self._about = (form, samples, seed)
        self._numbers = list(numbers)
        self._scratch = scratch

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with tempfile.TemporaryDirectory(dir=self._scratch) as home:
            out, into = os.pipe()
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                os.close(out)
                try:
                    self._read_all(Path(home), into)
                except BaseException:  # not the reader's: it must not run the parent's code
                    (Path(home).parent / "fuzz_defect.txt").write_text(traceback.format_exc())
                finally:
                    os._exit(70)
            os.close(into)
            lines = _Lines(out)
            for number in self._numbers:
                line = lines.next()
                if line:
                    yield json.loads(line)
                    continue
                if line is None:
                    os.kill(pid, signal.SIGKILL)
                _, status = os.waitpid(pid, 0)
                yield self._ended(number, status, hang=line is None)
                break
            else:
                os.waitpid(pid, 0)
            os.close(out)

    def _ended(self, number: int, status: int, hang: bool) -> dict[str, Any]:
        form, samples, seed = self._about
        signalled = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        what = "hang" if hang or signalled == signal.SIGXCPU else "crash"
        told = f"signal {signal.Signals(signalled).name}" if signalled else f"exit {os.WEXITSTATUS(status)}"
        _, how, reader = spoiled(form, samples, seed, number)
        return {
            "number": number,
            "what": what,
            "how": how,
            "reader": _name(form, reader),
            "error": "over 10 s" if hang else told,
        }

    def _read_all(self, home: Path, into: int) -> None:
        form, samples, seed = self._about
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.chdir(home)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))
        limit = _address_space() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        for number in self._numbers:
            resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            try:
                sample, how, reader = spoiled(form, samples, seed, number)
            except Exception:  # a way of spoiling that failed, not a reader: nothing spoilt
                sample, how, reader = samples[0], "nothing", 0
            used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
            resource.setrlimit(resource.RLIMIT_CPU, (int(used + SECONDS + 1), resource.RLIM_INFINITY))
            found = {"number": number, "how": how, "reader": _name(form, reader)} | tried(form, sample, reader, home)
            os.write(into, (json.dumps(found) + "\n").encode())
        os._exit(0)


class _Lines:
    """Lines of a pipe, each waited for."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._held = descriptor, b""

    def next(self) -> str | None:
        """The next line; empty at the end, None if it takes too long."""
        while b"\n" not in self._held:
            if not select.select([self._descriptor], [], [], PATIENCE)[0]:
                return None
            more = os.read(self._descriptor, 1 << 16)
            if not more:
                return ""
            self._held += more
        line, _, self._held = self._held.partition(b"\n")
        return line.decode()


def _name(form: Format, reader: int) -> str:
    return getattr(form.readers[reader], "__name__", "?")


def tried(form: Format, sample: Sample, reader: int, home: Path) -> dict[str, Any]:
    """One input, in this process."""
    from voxbench.errors import VoxbenchError

    inside = home / "here" / "in"
    for name, content in sample.files.items():
        (inside / name).parent.mkdir(parents=True, exist_ok=True)
        (inside / name).write_bytes(content)
    before = _peak()
    said, where = "", ""
    try:
        form.readers[reader](inside / sample.entry)
        what = "read"
    except VoxbenchError as error:
        said = str(error)
        what = "refused" if said.strip() else "silent"
    except MemoryError as error:
        what, where = "over memory", _where(error)
    except Exception as error:
        what, said, where = "crash", f"{type(error).__name__}: {error}", _where(error)
    grown = _peak() - before
    what = _escaped(home, what)
    shutil.rmtree(inside, ignore_errors=True)
    return {
        "what": what,
        "error": said[:300] if what not in {"read", "refused"} else said[:120],
        "where": where,
        "grown_kb": grown,
    }


def _escaped(home: Path, what: str) -> str:
    """Whether something was unpickled, or written outside the folder."""
    if (home / MARKER).exists() or (home / "here" / "in" / MARKER).exists():
        return "unpickled"
    beside = {path.name for path in home.iterdir()} | {path.name for path in (home / "here").iterdir()}
    outside = beside - {"here", "in"} or Path("/tmp/escaped").exists()
    return "outside" if outside else what


def _where(error: BaseException) -> str:
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "voxbench" in f.filename]
    last = frames[-1] if frames else traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}:{last.lineno} {last.name}"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _address_space() -> int:
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    return 0
