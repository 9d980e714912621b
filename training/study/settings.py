"""Settings of a study: what is trained, at which SNRs, how often, and how it is measured."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from airreid.evaluation.study.cells import MOST_DRAWS
from airreid.evaluation.study.figures import PANELS
from airreid.validation import FrozenModel
from training.recipes.base import Batches, OptimizerConfig

Loss = Literal["l1", "entropy", "retrieval"]
InputForm = Literal["raw", "standard", "unit"]
"""Form of the features that a network is given: :meth:`training.study.training.Inputs.fitted`."""


def _sgd(lr: float, *milestones: int) -> OptimizerConfig:
    """Paper: SGD, momentum 0.9, L2 5e-4; the rate falls tenfold at the milestones."""
    return OptimizerConfig(
        optimizer="sgd", lr=lr, schedule="steps", milestones=milestones, weight_decay=5e-4
    )


_SMALL = Batches(sampler="shuffled", size=16)  # paper: 16
_PAIRS = Batches(sampler="cameras", identities=192, images=1)


class Stage(FrozenModel):
    """One loss, for so long."""

    loss: Loss
    epochs: Annotated[int, Field(ge=1, le=10_000)] | None = None
    iterations: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Steps of the optimiser in place of ``epochs``; whole epochs of them are done."""
    learning: OptimizerConfig
    batches: Batches
    temperatures: tuple[float, ...] = ()
    """Temperatures of the retrieval loss, of which held-out people choose one."""
    rates: tuple[float, ...] = ()
    """Learning rates in place of that of ``learning``, of which they choose one as well."""
    measured_as: str
    """Name of the curves that are measured after this stage."""


class Family(FrozenModel):
    """Codecs that are trained alike, one for each training SNR and seed."""

    name: str
    kind: Literal["jscc-ae", "jscc-fc"]
    layers: Annotated[int, Field(ge=1, le=8)]
    start: Literal["random", "closed-form"]
    """Initial weights: PyTorch's own, or the code in closed form that held-out people choose."""
    inputs: InputForm
    stages: tuple[Stage, ...]
    nested: bool = False
    """Whether one code serves all bandwidths, each by a prefix of its symbols."""


def _retrieval(name: str, rates: tuple[float, ...] = (5e-5, 2e-4)) -> Stage:
    return Stage(
        loss="retrieval",
        iterations=1000,
        learning=OptimizerConfig(optimizer="adamw", lr=1e-3, weight_decay=1e-4),
        batches=_PAIRS,
        temperatures=(0.05, 0.1, 0.2),
        rates=rates,
        measured_as=name,
    )


FAMILIES = (
    Family(
        name="ae-paper",
        kind="jscc-ae",
        layers=3,  # the paper's figure: FC-BN-LeakyReLU three times
        start="random",
        inputs="raw",
        stages=(
            Stage(
                loss="l1",
                epochs=200,  # paper
                learning=_sgd(0.1, 150),  # paper: 0.1, then 0.01 after epoch 150
                batches=Batches(sampler="shuffled", size=128),  # ours: the paper does not say
                measured_as="ae-l1",
            ),
            Stage(
                loss="entropy",
                epochs=40,  # paper: 30 + 10
                learning=_sgd(0.01, 30),
                batches=_SMALL,
                measured_as="ae-paper",
            ),
        ),
    ),
    Family(
        name="ae-retrieval",
        kind="jscc-ae",
        layers=3,
        start="random",
        inputs="standard",
        stages=(_retrieval("ae-retrieval", rates=(1e-3, 2e-4)),),
    ),
    Family(
        name="ae-linear",
        kind="jscc-ae",
        layers=1,
        start="closed-form",
        inputs="unit",
        stages=(_retrieval("ae-linear"),),
    ),
    Family(
        name="fc-paper",
        kind="jscc-fc",
        layers=1,  # paper: one FC layer
        start="random",
        inputs="raw",
        stages=(
            Stage(
                loss="entropy",
                epochs=50,  # paper
                learning=_sgd(0.01, 30),
                batches=_SMALL,
                measured_as="fc-paper",
            ),
        ),
    ),
    Family(
        name="fc-retrieval",
        kind="jscc-fc",
        layers=1,
        start="closed-form",
        inputs="unit",
        stages=(_retrieval("fc-retrieval"),),
    ),
    Family(
        name="nested",
        kind="jscc-fc",
        layers=1,
        start="closed-form",
        inputs="unit",
        stages=(_retrieval("nested"),),
        nested=True,
    ),
)


class DigitalGrid(FrozenModel):
    """Digital schemes that are trained: every d with every λ."""

    dimensions: tuple[int, ...] = (32, 64, 128, 256)
    rate_lambdas: tuple[float, ...] = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
    epochs: int = 40


class StudySettings(FrozenModel):
    """Everything that study A's cells are computed from, beside the features."""

    bandwidths: tuple[int, ...] = (64, 128, 256, 512, 1024)
    snrs_db: tuple[float, ...] = (-10.0, -6.0, -3.0, 0.0, 5.0, 10.0, 20.0)
    """Test SNRs, and the single SNRs that are trained at."""
    snr_range_db: tuple[float, float] = (-10.0, 10.0)
    """Range that is trained over beside the single SNRs."""
    whole_bandwidths: tuple[int, ...] = (256, 64)
    """Bandwidths of codes for each single SNR and the range; others have those of the panels."""
    panel_snrs_db: tuple[float, ...] = PANELS
    """Single SNRs that the codes of the other bandwidths are trained at."""
    training_seeds: Annotated[int, Field(ge=1, le=20)] = 3
    noise_seeds: Annotated[int, Field(ge=1, le=MOST_DRAWS)] = 10
    families: tuple[Family, ...] = FAMILIES
    digital: DigitalGrid = DigitalGrid()
    quantised_bits: tuple[int, ...] = (32, 64, 96, 128)
    """Bits of product quantisation, of which held-out people choose for each SNR."""
    long_bandwidths: tuple[int, ...] = (4096, 8192)
    """Bandwidths for a feature that is sent as it is, beyond those of the others."""
    long_noise_seeds: Annotated[int, Field(ge=1, le=MOST_DRAWS)] = 2

    def snrs_train(self, family: Family, bandwidth: int) -> tuple[tuple[float, float], ...]:
        """Returns the bounds of every training SNR: single ones, then the range.

        A nested code is trained over the range alone: it is for whoever does not know the SNR.
        """
        if family.nested:
            return (self.snr_range_db,)
        if bandwidth in self.whole_bandwidths:
            return (*((snr, snr) for snr in self.snrs_db), self.snr_range_db)
        return tuple((snr, snr) for snr in self.snrs_db if snr in self.panel_snrs_db)


def quick(settings: StudySettings) -> StudySettings:
    """Returns settings that take minutes: every figure, one training seed, few steps."""
    return settings.model_copy(
        update={
            "bandwidths": (64, 256),
            "snrs_db": (-10.0, 0.0, 20.0),
            "training_seeds": 1,
            "noise_seeds": 2,
            "families": tuple(_short(family) for family in settings.families),
            "digital": DigitalGrid(dimensions=(64,), rate_lambdas=(30.0, 300.0), epochs=4),
            "quantised_bits": (32, 128),
            "long_bandwidths": (8192,),
            "long_noise_seeds": 1,
        }
    )


def _short(family: Family) -> Family:
    stages = tuple(
        stage.model_copy(
            update={
                "epochs": None if stage.epochs is None else 2,
                "iterations": None if stage.iterations is None else 60,
                "learning": stage.learning.model_copy(update={"milestones": ()}),
                "temperatures": stage.temperatures[1:2],
                "rates": stage.rates[1:],
                "batches": Batches(sampler="shuffled", size=64)
                if stage.batches.sampler == "shuffled"
                else stage.batches,
            }
        )
        for stage in family.stages
    )
    return family.model_copy(update={"stages": stages})
