"""Learning needs torch (pip install '.[learn]'); without it its tests are left out."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("torch") else ["test_iterative_learning.py"]
