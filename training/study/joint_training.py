"""Training of a network and a code together, as study B's recipes say."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from airreid.errors import InputError
from airreid.inference import Network
from training.engine.batches import FeatureBatches, ImageBatches
from training.engine.fit import BatchLoss, Task
from training.engine.precision import Precision
from training.engine.retrieval import rank1, retrieval_loss
from training.engine.schedule import ParamGroup
from training.models.channel import Channel
from training.models.codec import Codec
from training.models.digital import DigitalCodec
from training.models.scheme_network import SchemeNetwork, Transmitted
from training.onnx_network.module import OnnxModule, trainable
from training.onnx_network.operators import UntrainableError
from training.recipes.base import Batches, Stage
from training.site.joint import features_of
from training.steps.backbone import new_classifier
from training.study.crops import Crops, LabelledCrops, StudyCrops
from training.study.joint_settings import JointRecipe
from training.study.training import StudyContext

_PROOF_IMAGES = 8
_SCALE_IMAGES = 512
_AUTOENCODER_BATCHES = Batches(sampler="shuffled", size=128)  # ours: the paper does not say


class JointParts(nn.Module):
    """Everything that is trained: the network, a code or none, and a classifier."""

    size: Tensor

    def __init__(
        self, network: OnnxModule, code: SchemeNetwork | None, classifier: nn.Linear, size: float
    ) -> None:
        """``size``: RMS of the public network's features, which codes are given in units of."""
        super().__init__()
        self.network, self.code, self.classifier = network, code, classifier
        self.register_buffer("size", torch.tensor(size))

    def features(self, crops: Crops) -> np.ndarray:
        """uint8 crops (n, H, W, 3) -> float32 (n, D), in evaluation mode."""
        features: np.ndarray = (features_of(self.network, crops) / self.size).cpu().numpy()
        return features


@dataclass(frozen=True)
class JointTraining:
    """A recipe at a bandwidth, with the images that it is trained on."""

    recipe: JointRecipe
    bandwidth: int
    images: LabelledCrops
    context: StudyContext

    def run(self, parts: JointParts, name: str) -> None:
        """Trains: the autoencoder alone where the recipe wants that, then all together."""
        parts.to(self.context.device)
        if self.recipe.autoencoder_epochs:
            self.context.fit_alone(self._autoencoder(parts, f"{name}-l1"))
        self.context.fit_alone(self._together(parts, name))

    def _labels(self) -> np.ndarray:
        identity = self.images.labels.identity
        return np.unique(identity, return_inverse=True)[1].astype(np.int64)

    def _autoencoder(self, parts: JointParts, name: str) -> Task:
        recipe, device, code = self.recipe, self.context.device, parts.code
        assert isinstance(code, Codec)
        channel = Channel(snr_db=recipe.snr_db)
        features = torch.from_numpy(parts.features(self.images.crops)).to(device)

        def loss(x: Tensor, _: Tensor, draws: torch.Generator, __: Precision) -> BatchLoss:
            decoded = code.transmit(x, channel, draws, gallery=False).queries
            return BatchLoss((decoded - x).abs().mean())

        learning = recipe.autoencoder_learning
        return Task(
            name=name,
            setting=f"{recipe.name}.autoencoder_learning",
            architecture=code.settings,
            parts=code,
            groups=code.param_groups(learning),
            learning=learning,
            epochs=recipe.autoencoder_epochs,
            batches=FeatureBatches(
                features,
                torch.from_numpy(self._labels()).to(device),
                _AUTOENCODER_BATCHES,
                self.context.seed,
            ),
            loss=loss,
            seed=self.context.seed,
            every_epoch=False,
        )

    def _together(self, parts: JointParts, name: str) -> Task:
        recipe, context, learning = self.recipe, self.context, self.recipe.learning
        height, width = self.images.crops.shape[1:3]
        head_lr = learning.head_lr or learning.lr
        groups = [
            ParamGroup(parts.network, learning.lr, learning.weight_decay),
            ParamGroup(parts.classifier, head_lr, learning.weight_decay),
        ]
        if parts.code is not None:
            groups += parts.code.param_groups(learning)
        batches = ImageBatches(
            crops=self.images.crops,
            labels=self._labels(),
            cameras=self.images.labels.camera,
            stages=(Stage(height=height, width=width, epochs=recipe.epochs),),
            batches=recipe.batches,
            augmentation=recipe.augmentation,
            seed=context.seed,
            workers=context.engine.workers,
            distributed=context.distributed,
        )
        return Task(
            name=name,
            setting=f"{recipe.name}.learning",
            architecture={"recipe": recipe.model_dump(mode="json"), "bandwidth": self.bandwidth},
            parts=parts,
            groups=tuple(groups),
            learning=learning,
            epochs=recipe.epochs,
            batches=batches,
            loss=_JointLoss(recipe, parts),
            seed=context.seed,
        )


class _JointLoss:
    """Loss of a batch of images, by the recipe."""

    def __init__(self, recipe: JointRecipe, parts: JointParts) -> None:
        self._recipe, self._parts = recipe, parts
        self._channel = Channel(snr_db=recipe.snr_db)

    def __call__(
        self, images: Tensor, labels: Tensor, draws: torch.Generator, precision: Precision
    ) -> BatchLoss:
        recipe, parts = self._recipe, self._parts
        with precision.autocast():
            feature = parts.network(images)
        feature = feature.float() / parts.size
        search = recipe.loss == "retrieval"
        sent = Transmitted(feature, feature)
        if parts.code is not None:
            sent = parts.code.transmit(feature, self._channel, draws, gallery=search)
        if search:
            error = self._search(feature, sent, labels)
        else:
            error = F.cross_entropy(parts.classifier(sent.queries), labels)
        queries = sent.queries.detach()
        return BatchLoss(
            sent.objective(error, recipe.rate_lambda), rank1(queries, queries, labels), sent.metrics
        )

    def _search(self, feature: Tensor, sent: Transmitted, labels: Tensor) -> Tensor:
        """Searches noisy among noiseless vectors and back, and the features among themselves."""
        temperature = self._recipe.temperature
        forth = retrieval_loss(sent.queries, sent.gallery, labels, temperature)
        back = retrieval_loss(sent.gallery, sent.queries, labels, temperature)
        return 0.5 * (forth + back) + retrieval_loss(feature, feature, labels, temperature)


def new_parts(
    recipe: JointRecipe, bandwidth: int, study: StudyCrops, images: LabelledCrops, seed: int
) -> JointParts:
    """Makes what a recipe trains before its first step; the same on any machine.

    Raises :class:`InputError` for a network that cannot be trained.
    """
    bundle = study.network()
    path = bundle.file(bundle.backbone.file)
    spread = np.linspace(0, len(images.crops) - 1, min(len(images.crops), _SCALE_IMAGES))
    sample = np.ascontiguousarray(images.crops[spread.astype(int)])
    try:
        network = trainable(onnx.load(path), Network(path, threads=1), sample[:_PROOF_IMAGES])
    except UntrainableError as error:
        raise InputError(f"{path}: this network cannot be trained: {error}") from None
    features = features_of(network, sample)
    torch.manual_seed(seed)
    code = _new_code(recipe, features.shape[1], bandwidth)
    outputs = features.shape[1] if code is None else code.embedding_dim
    classifier = new_classifier(outputs, len(set(images.labels.identity.tolist())))
    return JointParts(network, code, classifier, float(features.square().mean().sqrt()))


def _new_code(recipe: JointRecipe, features: int, bandwidth: int) -> SchemeNetwork | None:
    if recipe.kind == "baseline":
        return None
    if recipe.kind == "digital":
        return DigitalCodec(features, recipe.dimensions)
    return Codec(recipe.kind, features, bandwidth, 0, recipe.layers)
