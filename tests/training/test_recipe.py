import pytest

from airreid.errors import InputError
from training.recipe import RECIPES, load_recipe


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
    ],
)
def test_bad_settings_name_the_setting(setting: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_recipe("demo", [setting])


def test_saved_recipe_is_read_back(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "mine.json"
    path.write_text(load_recipe("demo", ["seed=9"]).model_dump_json())
    assert load_recipe(str(path), []).seed == 9
    path.write_text("{}")
    with pytest.raises(InputError, match="not a recipe"):
        load_recipe(str(path), [])
