"""How a network is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from voxbench.config import Config


class GanConfig(Config):
    """How a network learns against a discriminator, where its method has one."""

    pretrain: float = Field(default=0.5, ge=0, le=1, description="Share of the updates before it, by the loss alone.")
    weight: float = Field(default=0.005, gt=0, description="Of the adversarial loss, beside the loss.")
    learning_rate: float = Field(default=1e-4, gt=0, description="Largest step of the discriminator; falls alike.")


class TrainingConfig(Config):
    """How a network is trained; what is learned, and from what, is the method's own."""

    steps: int = Field(default=2000, ge=1, description="Updates of the weights.")
    batch: int = Field(default=4, ge=1, description="Patches per update, over all processes.")
    accumulate: int = Field(default=1, ge=1, description="Parts a batch is worked through in, to save memory.")
    patch: int = Field(default=64, ge=8, description="Edge of a patch, voxels.")
    foreground: float = Field(default=0.7, ge=0, le=1, description="Share of patches centred on the mask.")
    augment: bool = Field(default=True, description="Mirror and turn patches.")
    learning_rate: float = Field(default=3e-4, gt=0, description="Largest step of AdamW.")
    warm_up: int = Field(default=100, ge=0, description="Updates until the learning rate is reached.")
    weight_decay: float = Field(default=1e-4, ge=0, description="Of AdamW.")
    clip: float = Field(default=1.0, gt=0, description="Largest norm of a gradient.")
    average: float = Field(default=0.995, ge=0, lt=1, description="Decay of the moving average of the weights.")
    loss: Literal["l1", "charbonnier"] | None = Field(default=None, description="What is made small [the method's].")
    outside: float = Field(default=1.0, ge=0, description="Weight in the loss of voxels outside the mask; inside 1.")
    gan: GanConfig = Field(default=GanConfig(), description="For methods that learn against a discriminator.")
    precision: Literal["fp32", "bf16"] = Field(default="fp32", description="Of the forward pass.")
    seed: int = Field(default=0, ge=0, description="Decides weights, patches and augmentation.")
    validate_every: int = Field(default=500, ge=1, description="Updates between validations on whole cases.")
    save_every: int = Field(default=100, ge=1, description="Updates between checkpoints.")
    patience: int = Field(default=0, ge=0, description="Validations without a better one before stopping; 0: never.")
    tensorboard: bool = Field(default=False, description="Write TensorBoard events too (needs tensorboard).")

    @model_validator(mode="after")
    def _parts(self) -> TrainingConfig:
        if self.batch % self.accumulate:
            raise ValueError(f"--batch must be a multiple of --accumulate; got {self.batch} and {self.accumulate}")
        if self.warm_up >= self.steps:
            raise ValueError(f"--warm-up must be below --steps; got {self.warm_up} and {self.steps}")
        return self


class PatchTraining(TrainingConfig):
    """How a network of the segmentation task is trained: small batches and large steps, for a patch holds much."""

    batch: int = Field(default=2, ge=1, description="Patches per update, over all processes.")
    learning_rate: float = Field(default=2e-3, gt=0, description="Largest step of AdamW.")
