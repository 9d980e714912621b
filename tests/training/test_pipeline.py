"""From a handful of pictures to a bundle that runs, stopped on the way and continued."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from airreid.bundle_cli import check_graphs
from airreid.datasets import open_data
from airreid.datasets.folder import folder_set
from airreid.datasets.synthetic.population import Population, write_folder
from airreid.errors import InputError, ParityError
from airreid.images import load, to_crop
from airreid.inference import BackboneRunner
from airreid.jscc import JsccScheme
from airreid.retrieval import cosine
from training.engine.progress import SilentReport as Silent
from training.export.onnx import export_onnx, halve_weights, prove_parity
from training.models.backbone import Backbone
from training.models.codec import Codec
from training.models.weights import load_weights
from training.pipeline import run_recipe
from training.recipes.load import load_recipe
from training.recipes.recipe import Recipe
from training.runs import atomic_file as checkpoint
from training.runs.checkpoints import backbone_path, load_backbone, load_scheme, scheme_path


def test_a_torn_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "backbone.pt"
    checkpoint.save(path, {"a": torch.ones(1000)})
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"backbone\.pt: not a checkpoint"):
        checkpoint.load(path)


def test_weights_come_from_a_file(tmp_path: Path) -> None:
    import torchvision

    source = torchvision.models.resnet50(weights=None)
    path = tmp_path / "resnet50.pth"
    torch.save(source.state_dict(), path)
    backbone = Backbone(bn_neck=False)
    assert "resnet50.pth" in load_weights(backbone, str(path))
    assert torch.equal(backbone.trunk.layer1[0].conv1.weight, source.layer1[0].conv1.weight)
    torch.save(torchvision.models.resnet18(weights=None).state_dict(), path)
    with pytest.raises(InputError, match="not a resnet50"):
        load_weights(backbone, str(path))
    path.write_text("text")
    with pytest.raises(InputError, match="not a PyTorch state_dict"):
        load_weights(backbone, str(path))
    with pytest.raises(InputError, match="no file"):
        load_weights(backbone, str(tmp_path / "none.pth"))


def test_parity_proof_fails_when_the_graph_drifts(tmp_path: Path) -> None:
    module, path = nn.Linear(64, 128), tmp_path / "linear.onnx"
    inputs = np.random.default_rng(0).standard_normal((5, 64)).astype(np.float32)
    export_onnx(module, torch.from_numpy(inputs[:2]), path)
    assert prove_parity(module, path, inputs, 1e-4) < 1e-5
    size = path.stat().st_size
    halve_weights(path)
    assert path.stat().st_size < 0.7 * size
    assert 1e-6 < prove_parity(module, path, inputs, 1e-2) < 1e-2
    with torch.no_grad():
        module.weight[0, 0] += 0.5
    with pytest.raises(ParityError, match="differs from PyTorch"):
        prove_parity(module, path, inputs, 1e-2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Recipe]:
    data, out = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("run")
    write_folder(Population(seed=8, identities=10, cameras=2, shots=2), data)
    recipe = load_recipe(
        "demo",
        [
            *(
                "epochs=1",
                "calibration_images=8",
                'codec.schemes=["jscc-ae-8", "jscc-fc-16"]',
                "closed_form.schemes=[]",
            ),
            *("backbone.backbone=resnet18", "backbone.learning.lr=0.001"),
            *("backbone.batches.identities=4", "codec.batches.identities=4"),
            *("backbone.batches.images=2", "codec.batches.images=2"),
            'digital.schemes=[{"id": "digital-64", "dimensions": 8, "rate_lambda": 50}]',
            *("digital.batches.identities=4", "digital.batches.images=2"),
        ],
    )
    run_recipe(recipe, open_data(data), out, Silent())
    return data, out, recipe


def test_a_users_folder_becomes_a_bundle_that_runs(trained: tuple[Path, Path, Recipe]) -> None:
    data, out, recipe = trained
    from airreid.bundle import load_bundle

    bundle = load_bundle(out / "bundle")
    check_graphs(bundle)
    assert bundle.scheme_ids == ["jscc-ae-8", "jscc-fc-16", "digital-64"]
    assert bundle.manifest.provenance.recipe.name == "demo"  # type: ignore[union-attr]
    again = run_recipe(recipe, open_data(data), out, Silent())  # nothing is trained twice
    assert again is not None
    assert again.manifest.backbones == bundle.manifest.backbones
    assert again.backbone.feature_dim == 512
    # PyTorch and the shipped int8 graph see the same neighbours.
    shipped_network = load_backbone(backbone_path(out, "backbone")).shipped()
    crops = np.stack([to_crop(sample.load()) for sample in folder_set(data).samples])
    with torch.no_grad():
        exact = shipped_network(torch.from_numpy(crops)).numpy()
    shipped = BackboneRunner(bundle, bundle.backbone, 1).features(crops)
    similar = np.diag(cosine(exact, shipped))
    assert similar.min() > 0.9
    symbols = JsccScheme(bundle, bundle.scheme("jscc-ae-8"), 1).encode(shipped)
    np.testing.assert_allclose(np.square(symbols).mean(1), 1.0, atol=1e-5)


def test_another_recipe_does_not_overwrite_a_run(trained: tuple[Path, Path, Recipe]) -> None:
    data, out, recipe = trained
    with pytest.raises(InputError, match="holds a run with other settings"):
        run_recipe(recipe.model_copy(update={"seed": 5}), open_data(data), out, Silent())


def test_a_folder_of_one_person_or_of_torn_files_is_refused(tmp_path: Path) -> None:
    write_folder(Population(seed=8, identities=1, cameras=1, shots=1), tmp_path)
    with pytest.raises(InputError, match="one identity only"):
        folder_set(tmp_path)
    write_folder(Population(seed=8, identities=2, cameras=1, shots=1), tmp_path)
    torn = tmp_path / "person-0001" / "cam-0" / "00.png"
    torn.write_bytes(torn.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"00\.png: damaged"):
        load(torn)
    (tmp_path / "loose.png").write_bytes((tmp_path / "person-0000/cam-0/00.png").read_bytes())
    opened = open_data(tmp_path)
    assert opened["train"].digest() == folder_set(tmp_path).digest()
    assert len(opened["train"]) == 2
    [reason] = opened.left_out
    assert "loose.png: expected" in reason


def test_pytorch_equals_onnx_equals_the_answer_over_the_wire(
    trained: tuple[Path, Path, Recipe], tmp_path: Path
) -> None:
    """Symbols made by the PyTorch codec are answered as PyTorch alone would rank them."""
    from airreid import wire
    from airreid.bundle import load_bundle
    from airreid.client import GalleryClient, ok
    from airreid.payload import Analog
    from airreid.uplink_client import Uplink
    from airreid.v1 import gallery_pb2
    from edge.blocks import BlockMaker
    from simulation.processes import Role

    _, out, _ = trained
    bundle = load_bundle(out / "bundle")
    space = bundle.backbone.space_id
    codec = load_scheme(scheme_path(out, "jscc-ae-8")).network(Codec)
    features = np.load(out / f"features-{space}.npy")
    with torch.no_grad():
        symbols = codec.encoder(torch.from_numpy(features))
        received = symbols + 0.3 * torch.randn(symbols.shape)
        scores = cosine(codec.decode(received).numpy(), codec.decode(symbols).numpy())
    items = [
        gallery_pb2.EnrollItem(
            subject=f"p{i}",
            camera="c",
            feature=gallery_pb2.Feature(space_id=space, values=wire.to_bytes(feature)),
        )
        for i, feature in enumerate(features)
    ]
    arguments = ["ap", "serve", "--bundle", str(out / "bundle"), "--data-dir", str(tmp_path)]
    with Role("ap", [*arguments, "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]) as ap:
        target = f"127.0.0.1:{ap.ready['grpc_port']}"
        with GalleryClient(target) as client:
            assert all(ok(result.status) for _, result in client.enrol(items))
        maker = BlockMaker("cam", bundle.bundle_id)
        payloads = [Analog(row) for row in received.numpy()]
        blocks = maker.blocks(payloads, "jscc-ae-8", 1, len(items))
        with Uplink(target) as uplink:
            answers = [answer.response for answer in uplink.query(blocks)]
    for answer, row in zip(answers, scores, strict=True):
        np.testing.assert_allclose(answer.entry_scores, -np.sort(-row), atol=5e-3)
        assert row.max() - row[int(answer.identities[0].subject[1:])] < 5e-3


def test_other_images_do_not_continue_a_run(
    trained: tuple[Path, Path, Recipe], tmp_path: Path
) -> None:
    _, out, recipe = trained
    write_folder(Population(seed=9, identities=10, cameras=2, shots=2), tmp_path)
    with pytest.raises(InputError, match="holds a run with other images"):
        run_recipe(recipe, open_data(tmp_path), out, Silent())


def test_a_backbone_of_another_run_is_taken_and_not_trained(
    trained: tuple[Path, Path, Recipe], tmp_path: Path
) -> None:
    data, out, recipe = trained
    heads = load_recipe(
        "from_scratch",
        [
            *('codec.schemes=["jscc-fc-8"]', "codec.epochs=1", "codec.batches.identities=4"),
            *("codec.augmented_copies=1", "codec.batches.images=2", "digital.schemes=[]"),
            "calibration_images=8",
        ],
    )
    mine = tmp_path / "mine"
    bundle = run_recipe(heads, open_data(data), mine, Silent(), backbone=out)
    assert bundle is not None
    assert bundle.scheme_ids == ["jscc-fc-8"]
    taken = load_backbone(backbone_path(mine, "backbone"))
    assert taken.space == load_backbone(backbone_path(out, "backbone")).space
    assert taken.classifier is not None
    assert not (mine / "backbone.last.pt").exists()
    recorded = bundle.manifest.provenance.model_dump(mode="json")["recipe"]
    assert recorded["steps"][0] == recipe.model_dump(mode="json")["steps"][0]
    assert run_recipe(heads, open_data(data), mine, Silent(), backbone=out) is not None
    # Other people: the network goes on without the classifier of people who are not there.
    write_folder(Population(seed=9, identities=10, cameras=2, shots=2), tmp_path / "others")
    other = tmp_path / "other"
    run_recipe(heads, open_data(tmp_path / "others"), other, Silent(), backbone=out)
    assert load_backbone(backbone_path(other, "backbone")).classifier is None


def test_a_backbone_that_cannot_be_taken(
    trained: tuple[Path, Path, Recipe], tmp_path: Path
) -> None:
    data, out, _ = trained
    opened = open_data(data)
    with pytest.raises(InputError, match="not the folder of a run"):
        run_recipe(load_recipe("joint", []), opened, tmp_path / "a", Silent(), backbone=data)
    with pytest.raises(InputError, match="has 0 backbone steps"):
        run_recipe(load_recipe("paper/jscc_fc", []), opened, tmp_path / "b", Silent(), backbone=out)
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    for name in ("recipe.json", "data.json"):
        (unfinished / name).write_bytes((out / name).read_bytes())
    with pytest.raises(InputError, match="not finished"):
        run_recipe(load_recipe("joint", []), opened, tmp_path / "c", Silent(), backbone=unfinished)
