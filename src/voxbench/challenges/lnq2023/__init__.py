"""LNQ 2023: the lymph nodes of the mediastinum, learned from partly annotated CT."""

from voxbench.challenges.protocol import Challenge

LNQ2023 = Challenge(
    name="lnq2023",
    question="Where are the enlarged lymph nodes of this chest?",
    takes="CT volume",
    gives="mask",
    scores=("Dice", "ASSD"),
    homepage="https://lnq2023.grand-challenge.org",
)
