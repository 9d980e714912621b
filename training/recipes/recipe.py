"""A recipe: steps from images to schemes, and the data that they use."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from airreid.datasets.synthetic.population import DEMO_SEED, Population
from airreid.validation import FrozenModel
from training.recipes.base import Engine, Fraction
from training.recipes.site_steps import NetworkStep, SiteRecipeStep
from training.recipes.steps import BackboneStep, JointStep, Step, schemes_of


class SyntheticData(FrozenModel):
    """Populations that a recipe draws; no two of them share people or cameras."""

    train: Population = Population(seed=1, identities=2000, cameras=8, shots=1)
    """People whom the backbone is trained on."""
    codec: Population = Population(seed=2, identities=600, cameras=40, shots=1)
    """People whom the codecs are trained on: the backbone has not seen them, because
    features of its own training people are collapsed onto their classes; and by many
    cameras, because a codec learns to discard what it has seen cameras change."""
    validation: Population = Population(seed=3, identities=350, cameras=2, shots=6)
    """People whom the model card's accuracy is measured on: queries by one camera, gallery
    by the other."""

    @model_validator(mode="after")
    def _disjoint(self) -> SyntheticData:
        seeds = {self.train.seed, self.codec.seed, self.validation.seed, DEMO_SEED}
        if len(seeds) != 4:
            raise ValueError(f"populations need different seeds, and none of them {DEMO_SEED}")
        return self


class Recipe(FrozenModel):
    """One training run from images to a bundle."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]
    seed: Annotated[int, Field(ge=0)] = 0
    synthetic: SyntheticData = SyntheticData()
    """Used where no data folder is given."""
    validation_share: Annotated[Fraction, Field(lt=0.9)] = 0.1
    """Share of the identities of a user's data that is held out of the training to choose
    the best epoch on. Synthetic people have a population for it."""
    calibration_images: Annotated[int, Field(ge=8, le=100_000)] = 512
    """Training images from which the int8 backbone's ranges are taken."""
    ship: Literal["int8", "fp32"] = "int8"
    """Precision of the backbone that heads are trained for and that a bundle begins with."""
    engine: Engine = Engine()
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _steps_fit(self) -> Recipe:
        names = [step.name for step in self.steps]
        if len(set(names)) != len(names):
            raise ValueError("steps: every name once")
        ids = scheme_ids(self)
        if len(set(ids)) != len(ids):
            raise ValueError("schemes: every id once")
        if any(isinstance(step, SiteRecipeStep) for step in self.steps):
            return self._site_steps_fit()
        have_backbone = False
        for step in self.steps:
            needs = not isinstance(step, BackboneStep) and not (
                isinstance(step, JointStep) and step.backbone is not None
            )
            if needs and not have_backbone:
                raise ValueError(f"step {step.name}: needs a backbone step before it")
            have_backbone = have_backbone or isinstance(step, BackboneStep)
        self._prepared()
        return self

    def _site_steps_fit(self) -> Recipe:
        """Checks the order of steps on a network given as ONNX."""
        kinds = [step.kind for step in self.steps]
        if kinds not in (["network", "nested"], ["network", "nested", "site"]):
            raise ValueError(
                "steps: a network step, a nested step and, if wanted, a site step, in that order; "
                "no others go with them"
            )
        return self

    @property
    def starts_from_network(self) -> bool:
        """Whether the recipe begins with a network that is given to it."""
        return isinstance(self.steps[0], NetworkStep)

    def _prepared(self) -> None:
        """Checks that what a joint step goes on with is trained before it, and nothing is lost."""
        trained: set[str] = set()
        for step in self.steps:
            if isinstance(step, JointStep) and step.init == "trained":
                missing = sorted(set(schemes_of(step)) - trained)
                if missing:
                    raise ValueError(
                        f"step {step.name}: init=trained, and no step before it trains "
                        f"{', '.join(missing)}"
                    )
            elif not isinstance(step, JointStep):
                trained |= set(schemes_of(step))
        lost = sorted(trained - set(scheme_ids(self)))
        if lost:
            raise ValueError(
                f"{', '.join(lost)}: trained beside what a joint step goes on with, and not "
                "exported; give it a step of its own"
            )

    @property
    def trained_steps(self) -> tuple[Step, ...]:
        """Steps whose schemes are exported: not those that only prepare another."""
        return tuple(step for step in self.steps if not self.prepares(step))

    def prepares(self, step: Step) -> bool:
        """Tells whether a joint step goes on with what this one leaves."""
        return not isinstance(step, JointStep) and any(
            isinstance(later, JointStep)
            and later.init == "trained"
            and set(schemes_of(step)) & set(schemes_of(later))
            for later in self.steps
        )

    def step(self, name: str) -> Step:
        """Returns the step of that name. Raises ``KeyError``."""
        return {step.name: step for step in self.steps}[name]


def scheme_ids(recipe: Recipe) -> list[str]:
    """Returns the ids of all schemes that a recipe ends with, in the order of a bundle."""
    return [scheme_id for step in recipe.trained_steps for scheme_id in schemes_of(step)]
