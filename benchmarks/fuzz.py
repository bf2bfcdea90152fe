"""Files spoilt at random and on purpose, each read by our readers in a process of its own limits.

An input is a whole file (made here, or one that comes with nibabel or pydicom), spoilt once or twice: cut off, bits
flipped, extreme numbers in the header, blocks lost or doubled, two files spliced, decompression bombs, wrong magic,
names that lead outside, planted pickles. Its outcome must be a value or a VoxbenchError with a message, within 10 s of
the processor and 2 GiB.

python benchmarks/fuzz.py --inputs 12000
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections import Counter
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from bench.fuzz_archives import zeros_gzipped
from bench.fuzz_files import formats
from bench.fuzz_processes import outcomes

HERE = Path(__file__).resolve().parent
LEGEND = """read: a value came back. refused: a VoxbenchError with a message. silent: one without.
crash: another exception or a signal. hang: over 10 s of the processor.
 over memory: a MemoryError, 2 GiB above the start. outside: something written
outside the folder. unpickled: a planted pickle was loaded. Memory is how far one input raised the process's peak.
"""
KINDS = ("read", "refused", "crash", "silent", "hang", "over memory", "outside", "unpickled")
GOOD = {"read", "refused"}
FEWER = {"DICOM", "DICOM SEG", "radiograph", "npz", "zip (submission)", "safetensors"}
CHEAP, COSTLY = 7, 4
"""Shares of the inputs: a spoilt DICOM object takes ten times as long as a spoilt table."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=12000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--formats", nargs="*", default=None)
    parser.add_argument(
        "--log", type=Path, default=HERE / "results" / "fuzz.jsonl", help="outcomes; a second start goes on after them"
    )
    parser.add_argument("--out", type=Path, default=HERE / "results" / "fuzz")
    parser.add_argument("--scratch", type=Path, default=Path("/dev/shm") if Path("/dev/shm").is_dir() else None)
    options = parser.parse_args()
    chosen = {name: form for name, form in formats().items() if options.formats is None or name in options.formats}
    whole = sum(COSTLY if name in FEWER else CHEAP for name in formats())
    each = {name: -(-options.inputs * (COSTLY if name in FEWER else CHEAP) // whole) for name in chosen}
    done = _done(options.log, options.seed)
    begun = time.monotonic()
    _import_everything()
    zeros_gzipped()  # before the processes fork, each of which would make its own
    with options.log.open("a", encoding="utf-8") as log:
        for name, form in chosen.items():
            left = [number for number in range(each[name]) if (name, number) not in done]
            for found in outcomes(form, options.seed, left, options.scratch):
                line = {"format": name, "seed": options.seed, **found}
                done[name, found["number"]] = line
                log.write(json.dumps(line) + "\n")
                log.flush()
            print(_row(name, [done[name, n] for n in range(each[name])]), flush=True)
    told = [done[name, n] for name in chosen for n in range(each[name])]
    _write(
        options.out,
        {name: [done[name, n] for n in range(each[name])] for name in chosen},
        options.seed,
        time.monotonic() - begun,
    )
    for wrong in (one for one in told if one["what"] not in GOOD):
        print(json.dumps(wrong))


def _done(path: Path, seed: int) -> dict[tuple[str, int], dict[str, Any]]:
    if not path.is_file():
        return {}
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    return {(line["format"], line["number"]): line for line in lines if line["seed"] == seed}


def _import_everything() -> None:
    """Once, before the processes fork."""
    import highdicom
    import nibabel
    import nrrd
    import SimpleITK
    import skimage.io
    import torch

    import voxbench.training.loop

    torch.set_num_threads(1)
    assert highdicom and nibabel and nrrd and SimpleITK and skimage.io and voxbench.training.loop  # noqa: PT018


def _row(name: str, found: list[dict[str, Any]]) -> str:
    counts = Counter(one["what"] for one in found)
    grown = max(one.get("grown_kb", 0) for one in found) / 1024
    return f"| {name} | {len(found)} | " + " | ".join(str(counts[kind]) for kind in KINDS) + f" | {grown:.0f} |"


def _write(out: Path, by_format: dict[str, list[dict[str, Any]]], seed: int, seconds: float) -> None:
    everything = [one for found in by_format.values() for one in found]
    ways = Counter(way for one in everything for way in one["how"].split(" + "))
    head = "| format | inputs | " + " | ".join(KINDS) + " | most memory, MiB |\n|" + "---|" * (len(KINDS) + 3)
    rows = "\n".join(_row(name, found) for name, found in by_format.items())
    day = time.strftime("%Y-%m-%d")
    about = f"{len(everything)} inputs, seed {seed}, {day}, Python {platform.python_version()}, one thread"
    text = f"# Spoilt files\n\n{about}\n\n{head}\n{rows}\n{_row('all', everything)}\n\n{LEGEND}\n"
    text += "Ways of spoiling: " + ", ".join(f"{way} {count}" for way, count in ways.most_common()) + "\n"
    out.with_suffix(".md").write_text(text, encoding="utf-8")
    table = {name: dict(Counter(one["what"] for one in found)) for name, found in by_format.items()}
    wrong = [one for one in everything if one["what"] not in GOOD]
    kept = {
        "seed": seed,
        "inputs": len(everything),
        "seconds": round(seconds, 1),
        "formats": table,
        "ways": dict(ways),
        "wrong": wrong,
    }
    out.with_suffix(".json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
