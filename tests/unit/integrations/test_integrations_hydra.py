"""Another Hydra application uses autoact's groups."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

import autoact
from autoact.config.groups import conf_dir
from autoact.integrations.hydra_plugins.autoact_searchpath import AutoactSearchPath
from autoact.recommendation import Policy

ROOT = Path(__file__).resolve().parents[3]
GROUP = conf_dir() / "plugin" / "autoact"
APPLICATION = """
import json, sys
import hydra
from omegaconf import OmegaConf

@hydra.main(version_base="1.3", config_path="conf", config_name="config")
def main(config):
    print(json.dumps([OmegaConf.to_container(config), sorted({"torch", "lightning", "optuna"} & set(sys.modules))]))

main()
"""
MODEL = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def application(tmp_path):
    """A folder with an application, and with the plugin where an installation has it."""
    (tmp_path / "conf" / "data").mkdir(parents=True)
    (tmp_path / "conf" / "config.yaml").write_text("defaults: [{data: own}, _self_]\nwidth: 8\n")
    (tmp_path / "conf" / "data" / "own.yaml").write_text("rows: 3\n")
    (tmp_path / "application.py").write_text(APPLICATION)
    (tmp_path / "site" / "hydra_plugins").mkdir(parents=True)
    plugin = ROOT / "autoact" / "integrations" / "hydra_plugins" / "autoact_searchpath"
    (tmp_path / "site" / "hydra_plugins" / "autoact_searchpath").symlink_to(plugin)
    return tmp_path


def run(folder, *words):
    """The finished process of the application; it writes nothing."""
    path = os.pathsep.join([str(folder / "site"), str(ROOT)])
    quiet = ["hydra.run.dir=.", "hydra.output_subdir=null", "hydra/job_logging=none", "hydra/hydra_logging=none"]
    command = [sys.executable, "application.py", *words, *quiet]
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_groups_are_found_and_nothing_heavy_is_imported(application):
    done = run(application, "+autoact/recommendation=file", "autoact.recommendation.path=x.yaml", "+autoact/space=site")
    assert done.returncode == 0, done.stderr
    config, imported = json.loads(done.stdout)
    assert config["autoact"]["recommendation"]["path"] == "x.yaml"
    assert config["autoact"]["space"]["granularity"] == "site"
    assert (config["data"], config["width"], imported) == ({"rows": 3}, 8, [])


def test_the_groups_of_autoact_itself_stay_out_of_the_application(application):
    done = run(application, "data=csv")
    assert done.returncode != 0 and "own" in done.stderr and "telco" not in done.stderr


def test_a_callback_among_others(application):
    done = run(application, "+autoact/recommendation@callbacks.activations=callback")
    assert json.loads(done.stdout)[0]["callbacks"]["activations"]["_target_"] == "autoact.ApplyActivations"


def test_one_folder_is_added_and_it_holds_one_group():
    class SearchPath:
        added: list = []  # noqa: RUF012

        def append(self, provider, path):
            self.added.append((provider, path))

    AutoactSearchPath().manipulate_search_path(SearchPath())
    assert SearchPath.added == [("autoact", f"file://{conf_dir() / 'plugin'}")]
    assert [path.name for path in (conf_dir() / "plugin").iterdir()] == ["autoact"]


def test_the_candidates_are_those_of_the_search():
    own = yaml.safe_load((conf_dir() / "candidates" / "default.yaml").read_text())
    assert yaml.safe_load((GROUP / "candidates" / "default.yaml").read_text()) == own


def recommendation(folder):
    policy = Policy(True, autoact.Assignment({"1": "tanh"}), {}, 3, "better")
    base = Policy(False, autoact.Assignment({"1": "relu"}), {}, 3, "as it is")
    sites = {"1": {"current": "relu", "shape": [2, 8], "channels": 8, "channel_dim": -1}}
    rec = autoact.Recommendation("t", "2026-01-01T00:00:00Z", "v", {}, {"quality": policy}, base, sites)
    return rec.save(folder / "recommended.yaml")


def test_a_recommendation_from_a_file(tmp_path):
    config = OmegaConf.load(GROUP / "recommendation" / "file.yaml")
    config.path = str(recommendation(tmp_path))
    expected = autoact.apply(MODEL, {"1": "tanh"})
    assert torch.equal(instantiate(config)(MODEL)(X), expected(X))
    config.policy = "baseline"
    assert torch.equal(instantiate(config)(MODEL)(X), MODEL(X))
    config.policy = "fast"
    with pytest.raises(Exception, match="unknown policy 'fast'"):
        instantiate(config)(MODEL)


def test_a_callback_and_an_assignment(tmp_path):
    config = OmegaConf.load(GROUP / "recommendation" / "callback.yaml")
    config.recommendation = str(recommendation(tmp_path))
    assert instantiate(config).assignment.to_dict() == {"1": "tanh"}
    config = OmegaConf.load(GROUP / "recommendation" / "assignment.yaml")
    config.assignment = {"1": "gelu"}
    assert autoact.assignment_in(instantiate(config)(MODEL).state_dict()).to_dict() == {"1": "gelu"}


@pytest.mark.parametrize("granularity", ["site", "block", "model"])
def test_a_space_is_what_suggest_takes(granularity):
    import optuna

    config = OmegaConf.merge(
        OmegaConf.load(GROUP / "candidates" / "default.yaml"), OmegaConf.load(GROUP / "space" / f"{granularity}.yaml")
    )
    del config["defaults"]
    trial = optuna.trial.FixedTrial({"autoact.activation": "tanh", "autoact.1": "tanh"})
    autoact.suggest(trial, MODEL, **config)
    assert config.granularity == granularity
    assert autoact.assignment_from(trial).to_dict() == {"1": "tanh"}
