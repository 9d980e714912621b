"""Recipes: data that can be changed, checked against bounds, and the paper's numbers."""

import math
from pathlib import Path

import pytest
from pydantic import TypeAdapter
from typer.testing import CliRunner

from airreid.errors import InputError
from airreid.scheme_kinds import bandwidth_of, kind_of
from training.cli import app, run_command
from training.recipes.base import SnrRange, snr_bounds
from training.recipes.load import RECIPES, load_recipe, with_options
from training.recipes.recipe import Recipe, scheme_ids
from training.recipes.scheme_ids import DigitalId, JsccId
from training.recipes.site_steps import NestedStep, NetworkStep
from training.recipes.steps import (
    AutoencoderStep,
    BackboneStep,
    ClosedFormStep,
    DigitalStep,
    JointStep,
)


def test_settings_reach_their_field() -> None:
    recipe = load_recipe(
        "demo",
        ["backbone.learning.lr=0.02", 'codec.schemes=["jscc-ae-8"]', "seed=4", "engine.workers=2"],
    )
    assert recipe.step("backbone").learning.lr == 0.02  # type: ignore[union-attr]
    assert scheme_ids(recipe)[:2] == ["jscc-ae-8", "digital-64"]
    assert (recipe.seed, recipe.engine.workers) == (4, 2)
    assert RECIPES["demo"].step("backbone").learning.lr == 0.1  # type: ignore[union-attr]


def test_an_entry_of_a_list_has_a_number() -> None:
    recipe = load_recipe("paper/jscc_fc", ["joint.schemes.0.snr_db=inf", "joint.stages.0.epochs=2"])
    (step,) = recipe.steps
    assert isinstance(step, JointStep)
    assert (step.schemes[0].snr_db, step.epochs) == ("inf", 2)


def test_epochs_shortens_everything() -> None:
    for name in RECIPES:
        for step in load_recipe(name, ["epochs=1"]).steps:
            if not isinstance(
                step, NetworkStep | NestedStep | ClosedFormStep
            ):  # they have no epochs of their own
                assert step.epochs == 1


def test_digital_schemes_are_data() -> None:
    recipe = load_recipe(
        "demo", ['digital.schemes=[{"id": "digital-64-r2", "dimensions": 8, "rate_lambda": 30}]']
    )
    step = recipe.step("digital")
    assert isinstance(step, DigitalStep)
    (spec,) = step.schemes
    assert (spec.bandwidth, spec.dimensions, spec.rate_lambda) == (64, 8, 30.0)


def test_snr_is_a_value_none_or_a_range() -> None:
    assert snr_bounds(-3.0) == (-3.0, -3.0)
    assert snr_bounds("inf") == (100.0, 100.0)
    assert snr_bounds(SnrRange(low=-10, high=5)) == (-10.0, 5.0)


def test_ids_say_kind_and_bandwidth() -> None:
    assert kind_of("jscc-ae-joint-64") == "jscc-ae"
    assert bandwidth_of("digital-joint-256-r2") == 256
    for good in ("jscc-fc-1", "jscc-ae-2048", "jscc-ae-joint-64-r1"):
        assert TypeAdapter(JsccId).validate_python(good) == good
    for bad in ("jscc-ae-0", "jscc-ae-2049", "jscc-ae", "digital-64"):
        with pytest.raises(ValueError, match="write jscc-ae-B or jscc-fc-B"):
            TypeAdapter(JsccId).validate_python(bad)
    assert TypeAdapter(DigitalId).validate_python("digital-64-r1") == "digital-64-r1"
    with pytest.raises(InputError, match="begins with none"):
        kind_of("analog-64")


def test_the_papers_numbers_to_the_digit() -> None:
    """Written down again from the paper, section by section."""
    (baseline,) = load_recipe("paper/baseline", []).steps
    assert isinstance(baseline, BackboneStep)
    assert (baseline.backbone, baseline.weights) == ("resnet50", "imagenet")
    assert (baseline.last_stride, baseline.bn_neck) == (2, False)
    assert [(s.height, s.width, s.epochs) for s in baseline.stages] == [(256, 128, 30)]
    assert (baseline.batches.sampler, baseline.batches.size) == ("shuffled", 16)
    sgd = baseline.learning
    assert (sgd.optimizer, sgd.lr, sgd.momentum, sgd.weight_decay) == ("sgd", 0.01, 0.9, 5e-4)
    assert (sgd.schedule, sgd.milestones, sgd.decay_bias_and_norm) == ("steps", (), True)
    assert (baseline.label_smoothing, baseline.retrieval_weight) == (0, 0)

    first, second, third = load_recipe("paper/jscc_ae", []).steps
    assert first == baseline
    assert isinstance(second, AutoencoderStep)
    assert second.epochs == 200
    assert (second.learning.lr, second.learning.milestones) == (0.1, (150,))
    assert (second.learning.gamma, second.learning.weight_decay) == (0.1, 5e-4)
    assert isinstance(third, JointStep)
    assert (third.epochs, third.learning.lr, third.learning.milestones) == (40, 0.01, (30,))
    assert third.keep_classifier
    assert third.init == "trained"
    assert (third.cross_entropy_weight, third.retrieval_weight) == (1, 0)

    (fc,) = load_recipe("paper/jscc_fc", []).steps
    assert isinstance(fc, JointStep)
    assert (fc.epochs, fc.learning.lr, fc.learning.milestones) == (50, 0.01, (30,))
    assert (fc.layers, fc.schemes[0].id, fc.weights) == (0, "jscc-fc-256", "imagenet")

    (digital,) = load_recipe("paper/digital", []).steps
    assert isinstance(digital, JointStep)
    assert (digital.epochs, digital.learning.lr, digital.learning.milestones) == (60, 0.01, (30,))
    assert digital.learning.head_weight_decay == 5e-3


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("backbone.learning.lr=-1", r"backbone\.learning\.lr"),
        ("backbone.rate=1", "no such field"),
        ("codec.snr_db.low=nan", r"codec\.snr_db\.range\.low"),
        ("epochs=many", "epochs"),
        ("seed", "write key=value"),
        ("synthetic.train.seed=2", "different seeds"),
        ("backbone.kind=codec", "no such field"),
        ("backbone.name=codec", "every name once"),
        ("backbone.batches.sampler=shuffled", "needs batches.sampler=identities"),
        ("steps=[]", "no such field"),
        ('codec.schemes=["jscc-ae-0"]', "codec"),
        ('codec.schemes=["jscc-ae-8", "jscc-ae-8"]', "every id once"),
        ("codec.snr_db.low=20", "above high"),
        ("backbone.stages.9.epochs=1", "no such field"),
        ("digital.crc_bits=16", r"digital\.crc_bits"),
        ("digital.payload_sizes=17", r"digital\.payload_sizes"),
        ("digital.rate=1", "no such field"),
        ('digital.schemes=[{"id": "digital-64", "dimensions": 0, "rate_lambda": 1}]', "dimensions"),
        (
            'digital.schemes=[{"id": "digital-64", "dimensions": 8, "rate_lambda": 0}]',
            "rate_lambda",
        ),
        ('digital.schemes=[{"id": "digital-0", "dimensions": 8, "rate_lambda": 1}]', "id"),
        ('digital.schemes=[{"id": "digital-64-x1", "dimensions": 8, "rate_lambda": 1}]', "id"),
        ('digital.schemes=[{"id": "jscc-ae-64", "dimensions": 8, "rate_lambda": 1}]', "id"),
    ],
)
def test_bad_settings_name_the_setting(setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_recipe("demo", [setting])


@pytest.mark.parametrize(
    ("minutes", "share", "message"),
    [
        (0.0, None, "--minutes 0: give minutes"),
        (math.nan, None, "--minutes nan"),
        (math.inf, None, "--minutes inf"),
        (None, "2", "--share 2: give a number from 0 to 1, or auto"),
        (None, "nan", "--share nan"),
        (None, "half", "--share half"),
    ],
)
def test_options_out_of_bounds_are_named_as_they_were_given(
    minutes: float | None, share: str | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        with_options(load_recipe("site", []), True, minutes, share)


def test_a_digital_scheme_is_named_once() -> None:
    scheme = '{"id": "digital-64", "dimensions": 8, "rate_lambda": 1}'
    with pytest.raises(InputError, match="every id once"):
        load_recipe("demo", [f"digital.schemes=[{scheme}, {scheme}]"])


def test_a_recipe_without_a_backbone_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a backbone step before it"):
        Recipe(name="x", steps=(DigitalStep(),))


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_saved_recipe_is_read_back(name: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(RECIPES[name].model_dump_json())
    assert load_recipe(str(path), []) == RECIPES[name]


def test_what_is_no_recipe_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text("{}")
    with pytest.raises(InputError, match="not a recipe"):
        load_recipe(str(path), [])


def test_no_scheme_is_lost_beside_one_that_a_joint_step_goes_on_with() -> None:
    recipe = load_recipe("paper/jscc_ae", []).model_dump()
    recipe["steps"][1]["schemes"] = ("jscc-ae-256", "jscc-ae-64")
    with pytest.raises(ValueError, match="jscc-ae-64: trained beside what a joint step"):
        Recipe.model_validate(recipe)


def test_a_channel_code_is_taken_by_name() -> None:
    assert load_recipe("demo", ["digital.channel_code=polar"]) == load_recipe("demo", [])
    with pytest.raises(InputError, match=r"digital\.channel_code: use one of polar"):
        load_recipe("demo", ["digital.channel_code=smoke"])


@pytest.mark.parametrize("option", ["--backbone", "--data", "--tracks"])
def test_a_path_that_is_not_there_is_refused_at_once(option: str, tmp_path: Path) -> None:
    present = tmp_path / "present"
    present.mkdir()
    given = dict.fromkeys(("--backbone", "--data", "--tracks"), str(present))
    given[option] = str(tmp_path / "nowhere")
    arguments = [word for pair in given.items() for word in pair]
    result = CliRunner().invoke(app, ["run", "site", *arguments, "--out", str(tmp_path / "out")])
    assert str(result.exception) == f"{option} {tmp_path / 'nowhere'}: not there"


@pytest.mark.parametrize("stopped", [KeyboardInterrupt, SystemExit])
def test_a_run_that_is_stopped_says_how_it_goes_on(
    stopped: type[BaseException],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ended(*_: object) -> None:
        raise stopped

    monkeypatch.setattr("training.pipeline.run_recipe", ended)
    with pytest.raises(stopped):
        run_command("demo", Path("runs/demo"))
    assert "runs/demo: stopped; the same command goes on" in capsys.readouterr().err
