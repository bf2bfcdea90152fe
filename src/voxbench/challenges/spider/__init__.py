"""SPIDER: vertebrae, discs and spinal canal of the lumbar spine in MRI."""

from voxbench.challenges.protocol import Challenge

SPIDER = Challenge(
    name="spider",
    question="Where is each vertebra, each disc, and the canal?",
    takes="MR volume",
    gives="label map",
    scores=("Dice", "ASD", "detection rate"),
    homepage="https://spider.grand-challenge.org",
)
