import pytest

from airreid.errors import InputError
from training.recipe import RECIPES, Recipe, load_recipe


def test_settings_reach_their_field() -> None:
    recipe = load_recipe("demo", ["backbone.lr=0.02", 'codec.schemes=["jscc-ae-8"]', "seed=4"])
    assert recipe.backbone.lr == 0.02
    assert recipe.codec.schemes == ("jscc-ae-8",)
    assert recipe.seed == 4
    assert RECIPES["demo"].backbone.lr != 0.02


def test_epochs_shortens_everything() -> None:
    recipe = load_recipe("demo", ["epochs=1"])
    assert recipe.backbone.epochs == 1
    assert recipe.codec.epochs == 1
    assert recipe.digital.epochs == 1


def test_digital_schemes_are_data() -> None:
    recipe = load_recipe(
        "demo", ['digital.schemes=[{"id": "digital-64-r2", "dimensions": 8, "trade": 30}]']
    )
    (spec,) = recipe.digital.schemes
    assert (spec.bandwidth, spec.dimensions, spec.trade) == (64, 8, 30.0)
    assert Recipe(name="x", backbone=recipe.backbone, codec=recipe.codec).digital.schemes == ()


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("backbone.lr=-1", r"backbone\.lr"),
        ("backbone.rate=1", "no such field"),
        ("codec.snr_db_min=nan", "snr_db_min"),
        ("epochs=many", "epochs"),
        ("seed", "write key=value"),
        ("synthetic.train.seed=2", "different seeds"),
        ("backbone.stages.0=1", "no such field"),
        ("digital.crc_bits=16", r"digital\.crc_bits"),
        ("digital.payload_sizes=17", r"digital\.payload_sizes"),
        ("digital.rate=1", "no such field"),
        ('digital.schemes=[{"id": "digital-64", "dimensions": 0, "trade": 1}]', "dimensions"),
        ('digital.schemes=[{"id": "digital-64", "dimensions": 8, "trade": 0}]', "trade"),
        ('digital.schemes=[{"id": "digital-0", "dimensions": 8, "trade": 1}]', "id"),
        ('digital.schemes=[{"id": "digital-64-x1", "dimensions": 8, "trade": 1}]', "id"),
        ('digital.schemes=[{"id": "jscc-ae-64", "dimensions": 8, "trade": 1}]', "id"),
    ],
)
def test_bad_settings_name_the_setting(setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_recipe("demo", [setting])


def test_a_digital_scheme_is_named_once() -> None:
    one = '{"id": "digital-64", "dimensions": 8, "trade": 1}'
    with pytest.raises(InputError, match="every id once"):
        load_recipe("demo", [f"digital.schemes=[{one}, {one}]"])


def test_saved_recipe_is_read_back(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "mine.json"
    path.write_text(load_recipe("demo", ["seed=9"]).model_dump_json())
    assert load_recipe(str(path), []).seed == 9
    path.write_text("{}")
    with pytest.raises(InputError, match="not a recipe"):
        load_recipe(str(path), [])
