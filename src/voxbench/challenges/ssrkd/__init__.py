"""SSR-KD: the bones of a knee from two radiographs."""

from voxbench.challenges.protocol import Challenge

SSRKD = Challenge(
    name="ssrkd",
    question="What bones cast these two shadows?",
    takes="two radiographs (or a CT)",
    gives="four meshes",
    scores=("DSC", "HD", "ASSD"),
    homepage="https://github.com/xmed-lab/SSR-KD",
)
