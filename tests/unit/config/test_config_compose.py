"""The tree under conf/ composes in every choice, and the user's own folders join it."""

import datetime
from pathlib import Path

import pytest
import yaml

from autoact.config.compose import compose, settings
from autoact.config.groups import GROUPS, conf_dir, options
from autoact.config.key_names import renamed, unknown_key
from autoact.config.trusted_code import load_trusted
from autoact.core.errors import AutoactError
from autoact.space.candidates import read_candidates
from autoact.tasks.metrics import resolve

ROOT = Path(__file__).resolve().parents[3]
CHOICES = [(group, choice) for group in GROUPS for choice in options(group)]
CANDIDATES = options("candidates")
TASKS = options("task")
HARDWARE = options("hardware")


def read(*overrides, config_dirs=(), config_name="config"):
    return settings(compose(overrides, config_dirs, config_name))


def test_every_yaml_file_is_a_choice_of_a_group():
    files = {file.relative_to(conf_dir()).with_suffix("").as_posix() for file in conf_dir().rglob("*.yaml")}
    # What other applications of Hydra see; tests/unit/integrations/test_integrations_hydra.py.
    files = {name for name in files if not name.startswith("plugin/")}
    assert files == {"config", *(f"{group}/{choice}" for group, choice in CHOICES)}
    folders = {folder.name for folder in conf_dir().iterdir() if folder.is_dir()}
    assert folders - {"__pycache__", "plugin"} == set(GROUPS)


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_composes(group, choice):
    found = read(f"{group}={choice}")
    if group == "task":
        assert found.task.name == choice


@pytest.mark.parametrize(("group", "choice"), CHOICES)
def test_every_choice_says_what_it_is(group, choice):
    lines = (conf_dir() / group / f"{choice}.yaml").read_text(encoding="utf-8").splitlines()
    assert next(line for line in lines if not line.startswith("# @package")).startswith("# ")


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_recipe_that_takes_its_arguments_and_a_metric_of_its_kind(task):
    found = read(f"task={task}")
    module = load_trusted(found.recipe.module, "recipe.module", ())(inputs=3, outputs=2, **found.recipe.arguments)
    assert module.learning_rate == found.recipe.arguments["learning_rate"]
    assert resolve(found.task.metric, found.task.kind).name == found.task.metric


@pytest.mark.parametrize("choice", CANDIDATES)
def test_candidates_are_in_the_catalogue_and_different(choice):
    names = read(f"candidates={choice}").space.candidates
    assert len(names) > 5
    found = read_candidates(names)  # refuses what cannot be searched
    assert not found.merged and len(found.choices) == len(names)


def test_the_default_candidates_are_those_of_the_python_face():
    from autoact.workflows.searching.search_arguments import DEFAULT_CANDIDATES

    assert tuple(read().space.candidates) == DEFAULT_CANDIDATES


@pytest.mark.parametrize("choice", HARDWARE)
def test_a_price_has_a_currency_a_date_and_a_source(choice):
    hardware = read(f"hardware={choice}").hardware
    told = (hardware.currency, hardware.price_date, hardware.price_source)
    if hardware.price_per_hour is None:
        assert told == (None, None, None)
    else:
        assert len(hardware.currency) == 3 and hardware.price_source.startswith("https://")
        assert datetime.date.fromisoformat(hardware.price_date).year >= 2024
    assert hardware.name == choice


def test_priced_hardware_exists():
    assert sum(read(f"hardware={choice}").hardware.price_per_hour is not None for choice in HARDWARE) >= 3


def test_the_defaults():
    found = read()
    assert (found.task.name, found.data.source, found.search.budget, found.tracking.backend) == (
        None,
        "csv",
        60,
        "mlflow",
    )
    assert (found.output, found.confirm.seeds, found.hardware.device) == ("autoact-runs", 10, "auto")


OWN = {
    "task/mine.yaml": """# @package _global_
defaults:
  - override /data: parquet
  - override /recipe: tabular_regression
  - override /hardware: ours
task: {name: mine, kind: regression, metric: mae}
data: {path: mine.parquet, target: y}
trainer: {max_epochs: 5}
""",
    "task/deeper/still.yaml": "# @package _global_\ntask: {name: still}\n",
    "hardware/ours.yaml": "name: ours\nprice_per_hour: 1.5\ncurrency: EUR\n",
    "experiment/night.yaml": "# @package _global_\ndefaults:\n  - override /task: mine\nsearch: {trials: 300}\n",
    "search_only.yaml": "defaults:\n  - config\n  - override task: mine\n  - _self_\nsearch: {trials: 5}\n",
}


@pytest.fixture
def own(tmp_path):
    folder = tmp_path / "Öwn, groups"
    for name, text in OWN.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_task_of_ones_own(own):
    found = read("task=mine", "data.target=z", config_dirs=[str(own)])
    assert (found.data.source, found.data.path, found.data.target) == ("parquet", "mine.parquet", "z")
    assert found.recipe.module == "autoact.recipes.residual:ResidualRegressor"
    assert (found.hardware.price_per_hour, found.hardware.currency, found.trainer) == (1.5, "EUR", {"max_epochs": 5})


def test_choices_in_deeper_folders(own):
    assert read("task=deeper/still", config_dirs=[str(own)]).task.name == "still"
    assert "deeper/still" in options("task", [str(own)])


def test_a_group_of_ones_own_is_added_with_a_plus(own):
    assert read("+experiment=night", config_dirs=[str(own)]).search.trials == 300
    with pytest.raises(AutoactError, match="experiment is a group of your own: add it with"):
        read("experiment=night", config_dirs=[str(own)])


def test_a_primary_configuration_of_ones_own(own):
    found = read(config_dirs=[str(own)], config_name="search_only")
    assert (found.task.name, found.search.trials) == ("mine", 5)
    with pytest.raises(AutoactError, match="unknown --config-name 'search_onyl': did you mean search_only"):
        read(config_dirs=[str(own)], config_name="search_onyl")


def test_a_wrong_choice_lists_ones_own(own):
    with pytest.raises(AutoactError, match="unknown task 'mien': did you mean mine"):
        read("task=mien", config_dirs=[str(own)])


def test_mistakes_in_ones_own_files_are_named(own):
    for line, message in [
        ("data: {pth: x}", "unknown key 'data.pth': did you mean data.path"),
        ("defaults:\n  - override /data: csvv", "unknown data 'csvv': did you mean csv"),
        ("search: {trials: many}", "task/mine.yaml: search.trials must be a whole number"),
    ]:
        (own / "task" / "mine.yaml").write_text(f"# @package _global_\n{line}\n")
        with pytest.raises(AutoactError, match=message):
            read("task=mine", config_dirs=[str(own)])


@pytest.mark.parametrize("text", ["- a\n- b\n", "# @package _global_\n- a\n", "- name: a\n"])
def test_a_file_that_holds_a_list_is_named(own, text):
    (own / "task" / "mine.yaml").write_text(text)
    with pytest.raises(AutoactError, match=r"task/mine\.yaml must hold names with values: key: value$"):
        read("task=mine", config_dirs=[str(own)])


def test_a_file_that_is_not_yaml_is_named(own):
    (own / "task" / "mine.yaml").write_text("task: [")
    with pytest.raises(AutoactError, match=r"mine\.yaml"):
        read("task=mine", config_dirs=[str(own)])


def test_a_choice_that_another_one_hides_is_refused(own):
    (own / "task" / "cancer.yaml").write_text("# @package _global_\ntask: {name: ours}\n")
    with pytest.raises(AutoactError, match=r"cancer\.yaml has the name of a file in .*conf: give it another one"):
        read("task=cancer", config_dirs=[str(own)])


def test_a_changed_copy_of_the_whole_tree_wins(tmp_path):
    import shutil

    copied = shutil.copytree(conf_dir(), tmp_path / "conf")
    text = (copied / "task" / "cancer.yaml").read_text().replace("max_epochs: 40", "max_epochs: 7")
    (copied / "task" / "cancer.yaml").write_text(text)
    assert read("task=cancer", config_dirs=[str(copied)]).trainer == {"max_epochs": 7}


def test_a_folder_that_is_not_there():
    with pytest.raises(AutoactError, match="--config-dir: no such folder: 'nowhere'"):
        read(config_dirs=["nowhere"])


def test_composing_leaves_no_trace():
    from hydra.core.global_hydra import GlobalHydra

    first = compose(["task=cancer", "search.trials=3"])
    assert read().search.trials is None
    assert first.search.trials == 3
    assert not GlobalHydra.instance().is_initialized()


def test_a_composed_configuration_can_be_written_and_read_again():
    from omegaconf import OmegaConf

    text = OmegaConf.to_yaml(compose(["task=income"]))
    assert yaml.safe_load(text)["data"]["positive"] == ">50K"


@pytest.mark.parametrize(
    "key", ["metric", "task.name", "output", "search.storage", "data.comment", "tracking.experiment"]
)
def test_text_without_a_character_is_not_taken_for_nothing_said(key):
    with pytest.raises(AutoactError, match=rf"^{key}= is empty: give a value, or leave it out$"):
        settings(compose(["task=cancer", f"{key}="]))
    settings(compose(["task=cancer", "data.label_strip="]))


def test_a_key_of_the_last_release_works_and_says_its_new_name(capsys):
    assert renamed("incumbent=old.csv") == "production_model=old.csv"
    assert capsys.readouterr().err == (
        "autoact: incumbent= is production_model= now; the old key works for one more release\n"
    )
    assert str(unknown_key("incumbent")) == "unknown key 'incumbent': it is called production_model now"


@pytest.mark.parametrize(
    ("words", "source", "target"),
    [
        (["task=churn"], "packaged", "Churn"),
        (["task=churn", "data.path=x.csv"], "csv", "Churn"),
        (["task=houses", "data.path=x.parquet"], "parquet", "median_house_value"),
        (["task=cancer", "data.path=x.csv.gz"], "csv", "target"),
        (["task=cancer", "data.path=x.csv", "data.target=y"], "csv", "y"),
        (["task=digits-rows", "data.path=x.npz"], "npz", "target"),
        (["task=demand", "data.path=x.csv"], "csv", None),
        (["task=churn", "data={path: x.csv}"], "csv", "Churn"),
        (["task=churn", "data={path: x.csv, source: packaged}"], "packaged", "Churn"),
        # Whoever names a source gets it, or is told that it reads no file.
        (["task=churn", "data=telco", "data.path=x.csv"], "openml", "Churn"),
        (["task=churn", "data=packaged", "data.path=x.csv"], "packaged", "Churn"),
        (["task=churn", "data.source=parquet", "data.path=x.csv"], "parquet", "Churn"),
    ],
)
def test_a_file_takes_the_place_of_the_set_that_comes_along(words, source, target):
    found = read(*words).data
    assert (found.source, found.target) == (source, target)


def test_a_file_in_a_task_of_ones_own_takes_the_place_too(tmp_path):
    (tmp_path / "task").mkdir()
    text = "# @package _global_\ndefaults: [churn]\ntask: {name: mine}\ndata: {path: x.csv}\n"
    (tmp_path / "task" / "mine.yaml").write_text(text, encoding="utf-8")
    found = read("task=mine", config_dirs=[str(tmp_path)])
    assert (found.task.name, found.data.source, found.data.name) == ("mine", "csv", "churn")
