"""LumbarSR: lumbar vertebrae from clinical CT to micro-CT."""

from voxbench.challenges.protocol import Challenge

LUMBARSR = Challenge(
    name="lumbarsr",
    question="What would micro-CT have shown?",
    takes="clinical CT, 4 sequences",
    gives="volume at 105 um",
    scores=("PSNR", "SSIM", "MAE", "NCC", "local bone contrast"),
    homepage="https://github.com/FrankZhangRp/LumbarSR-Challenge",
)
