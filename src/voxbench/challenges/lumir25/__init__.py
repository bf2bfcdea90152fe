"""LUMIR25: unsupervised registration of brain MRI, Learn2Reg 2025."""

from voxbench.challenges.protocol import Challenge

LUMIR25 = Challenge(
    name="lumir25",
    question="Which point of this brain is that point of the other?",
    takes="two MR volumes",
    gives="displacement field",
    scores=("Dice", "TRE", "HD95", "NDV"),
    homepage="https://learn2reg.grand-challenge.org",
)
