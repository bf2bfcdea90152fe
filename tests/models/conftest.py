"""Every test here needs torch (pip install '.[learn]'); without it they are left out."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") else ["test_*.py"]
