"""The network of a site: trained if it can be, as it was given otherwise."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from airreid.inference import Network
from training.models.nested import NestedHead
from training.onnx_network.module import trainable
from training.onnx_network.operators import UntrainableError
from training.recipes.site_steps import SiteStep
from training.site.bundle import Backed, backed
from training.site.context import SiteContext
from training.site.joint import train_joint
from training.site.preflight import Preflight
from training.site.rows import rivals_of
from training.site.share import mix, write_network


@dataclass(frozen=True)
class Learned:
    """Network and head that the joint stage has left."""

    network: Backed
    head: NestedHead
    why_frozen: str | None = None
    """Reason for which the network stays as it was given."""
    epochs: int | None = None
    seconds: float = 0.0
    share: float | None = None
    rates: dict[float, float] | None = None
    """Share of the trained weights to mean top-1 of held-out people."""

    @property
    def words(self) -> str:
        """The stage in a line."""
        if self.why_frozen is not None:
            return (
                f"the network cannot be trained and stays as it is: {self.why_frozen}; codes on "
                "its features were trained"
            )
        line = (
            f"network and code trained together for {self.epochs} epochs, "
            f"{self.seconds / 60:.1f} minutes; share of the trained weights {self.share:g}"
        )
        if self.rates:
            measured = ", ".join(f"{share:g}: {rate:.3f}" for share, rate in self.rates.items())
            line += f" (held-out people find, by share: {measured})"
        return line


def learn(
    step: SiteStep, public: Backed, head: NestedHead, checked: Preflight, context: SiteContext
) -> Learned:
    """Trains the network of ``public`` and a head together, and writes the mixed network.

    A network that cannot be trained is returned as it is, with the reason.
    """
    if checked.plan is None:
        return Learned(public, head, why_frozen=checked.why_frozen)
    info = public.bundle.backbone
    path = public.bundle.file(info.file)
    model = onnx.load(path)
    size = (info.height, info.width)
    try:
        network = trainable(model, Network(path, threads=1), context.proof(size))
    except UntrainableError as error:
        return Learned(public, head, why_frozen=str(error))
    weights, epochs = network.weights(), checked.plan.epochs
    rivals = rivals_of(public, context)
    joint = train_joint(step, network, head, size, rivals, epochs, context)
    mixed, shared = mix(step, weights, joint, size, context)
    folder = context.out / "site"
    bundle = write_network(model, mixed, info, joint.network, folder, context)
    return Learned(
        backed(bundle, context),
        joint.head,
        epochs=joint.epochs,
        seconds=joint.seconds,
        share=shared.share,
        rates=shared.rates,
    )
