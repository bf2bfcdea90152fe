"""One registration by the peer ``picsl-greedy`` in a process of its own, so that its cost can be measured whole.

Run by benchmarks/registration.py; settings come as one JSON argument.
"""

from __future__ import annotations

import json
import sys


def main(fixed: str, moving: str, field: str, options: dict[str, str]) -> None:
    from picsl_greedy import Greedy3D

    command = (
        f"-threads {options['threads']} -m {options['metric']} -i {fixed} {moving} "
        f"-n {options['iterations']} -o {field}"
    )
    if options.get("extra"):
        command += " " + options["extra"]
    Greedy3D().execute(command)


if __name__ == "__main__":
    main(*sys.argv[1:4], json.loads(sys.argv[4]))
