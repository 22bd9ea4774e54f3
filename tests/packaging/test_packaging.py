"""The wheel holds everything and nothing else, and what is installed runs from any folder."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

import autoact

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

pytestmark = pytest.mark.slow

# Composes a choice of every group and finds every recipe, and says where they lie; ``thoroughly``: composes every
# choice and imports every recipe.
PROBE = """
import autoact, importlib, importlib.util, pkgutil, sys
from autoact.config.compose import compose, settings
from autoact.config.trusted_code import load_trusted
from autoact.config.groups import GROUPS, conf_dir, options
thorough, count = "thoroughly" in sys.argv, 0
for group in GROUPS:
    choices = options(group)
    count += len(choices)
    for choice in choices if thorough else choices[:1]:
        settings(compose([f"{group}={choice}"]))
import autoact.recipes
recipes = [module.name for module in pkgutil.iter_modules(autoact.recipes.__path__)]
for name in recipes:
    assert importlib.util.find_spec(f"autoact.recipes.{name}") is not None
    if thorough:
        importlib.import_module(f"autoact.recipes.{name}")
print(autoact.__file__, conf_dir(), autoact.recipes.__file__, count, ",".join(sorted(recipes)), sep="\\n")
"""
# What other applications of Hydra see is no group of autoact's own configuration.
PLUGIN = ROOT / "conf" / "plugin"
CHOICES = sum(
    1 for file in (ROOT / "conf").rglob("*.yaml") if file.parent != ROOT / "conf" and not file.is_relative_to(PLUGIN)
)
RECIPES = ",".join(sorted(file.stem for file in (ROOT / "recipes").glob("*.py") if file.stem != "__init__"))


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the checkout, so that a build leaves nothing in this one."""
    folder = tmp_path_factory.mktemp("checkout") / "autoact"
    ignored = shutil.ignore_patterns("__pycache__", ".*", "build", "dist", "*.egg-info", "autoact-runs", "mlruns")
    return shutil.copytree(ROOT, folder, ignore=ignored)


@pytest.fixture(scope="module")
def wheel(checkout, tmp_path_factory):
    """The wheel, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, checkout, cwd=folder)
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Python of an environment that holds the wheel, and the packages of this one."""
    return environment(tmp_path_factory.mktemp("installed"), wheel)


@pytest.fixture(scope="module")
def editable(checkout, wheel, tmp_path_factory):
    """Python of an environment with an editable install of the checkout."""
    return environment(tmp_path_factory.mktemp("editable"), "--no-build-isolation", "-e", checkout)


def environment(folder, *what):
    """A new environment with autoact in it; its dependencies are those of the running interpreter."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    here = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    # Added as plain folders: an editable install of this environment is not active in the new one.
    (site / "dependencies.pth").write_text("\n".join(here) + "\n", encoding="utf-8")
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-index", "--ignore-installed"]
    run(sys.executable, "-m", "pip", "--python", python, "install", *options, *what)
    return python


def run(*command, cwd=None):
    """Standard output of a command; PYTHONPATH does not reach it."""
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def test_the_wheel_holds_every_file_and_no_other(wheel):
    files = [file for kind in ("*.py", "*.json", "packaged/*") for file in (ROOT / "autoact").rglob(kind)]
    expected = {f"autoact/{file.relative_to(ROOT / 'autoact')}" for file in files} | {"autoact/py.typed"}
    expected = {name.removeprefix("autoact/integrations/") if "/hydra_plugins/" in name else name for name in expected}
    for folder in ("conf", "recipes"):
        files = [file for file in (ROOT / folder).rglob("*") if file.suffix in (".py", ".yaml")]
        expected |= {f"autoact/{folder}/{file.relative_to(ROOT / folder)}" for file in files}
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert found == expected


def test_the_metadata(wheel):
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith("/METADATA")]
    metadata = Parser().parsestr(archive.read(name).decode())
    assert (metadata["Name"], metadata["Version"]) == ("torch-autoact", autoact.__version__)
    assert not [one for one in metadata.get_all("Requires-Dist") if one.startswith("autoact")]
    assert metadata["Requires-Python"] == PROJECT["project"]["requires-python"]
    assert any(name.endswith("licenses/LICENSE") for name in archive.namelist())
    assert "Which activation functions" in metadata.get_payload()


def test_the_version_stands_in_one_place():
    """It is in ``autoact/__init__.py``: the package reads it there, and no other file repeats it."""
    assert PROJECT["project"]["dynamic"] == ["version"] and "version" not in PROJECT["project"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "autoact.__version__"}
    assert "version" not in yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    newest, *older = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest in ("Unreleased", autoact.__version__)
    assert all(Version(one) <= Version(autoact.__version__) for one in older)


def test_the_source_holds_what_a_contributor_needs(checkout, tmp_path):
    run(sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", tmp_path, checkout, cwd=tmp_path)
    (file,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    tracked = {"README.md", "LICENSE", "CITATION.cff", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "Makefile"}
    tracked |= {"constraints.txt", "mkdocs.yml", "docs/index.md", "tests/conftest.py", "benchmarks/honesty/pool.py"}
    assert tracked <= found


def test_every_folder_is_listed_as_a_package():
    folders = {file.parent for file in (ROOT / "autoact").rglob("__init__.py")}
    expected = {".".join(folder.relative_to(ROOT).parts) for folder in folders} | {"autoact.conf", "autoact.recipes"}
    expected = {name.removeprefix("autoact.integrations.") if "hydra_plugins" in name else name for name in expected}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == expected | {"hydra_plugins"}


def test_the_wheel_runs_in_an_empty_folder(installed, tmp_path):
    assert "Hendrycks and Gimpel" in run(installed, "-m", "autoact", "activations", "gelu", cwd=tmp_path)
    package, conf, recipes, count, names = run(installed, "-c", PROBE, "thoroughly", cwd=tmp_path).splitlines()
    inside = Path(package).parent
    assert inside.is_relative_to(installed.parents[1])
    assert (Path(conf), Path(recipes).parent) == (inside / "conf", inside / "recipes")
    assert (int(count), names) == (CHOICES, RECIPES)
    assert list(tmp_path.iterdir()) == []


def test_in_a_checkout_the_source_comes_first(installed, checkout):
    package, conf, recipes, count, names = run(installed, "-c", PROBE, cwd=checkout).splitlines()
    assert Path(package) == checkout / "autoact" / "__init__.py"
    assert (Path(conf), Path(recipes).parent) == (checkout / "conf", checkout / "recipes")
    assert (int(count), names) == (CHOICES, RECIPES)
    assert "autoact " in run(installed, "-m", "autoact", "--version", cwd=checkout)


@pytest.mark.parametrize("where", ["an empty folder", "the checkout"])
def test_an_editable_install_runs(editable, checkout, tmp_path, where):
    folder = checkout if where == "the checkout" else tmp_path
    package, conf, recipes, count, names = run(editable, "-c", PROBE, cwd=folder).splitlines()
    assert Path(package) == checkout / "autoact" / "__init__.py"
    assert (Path(conf), Path(recipes).parent) == (checkout / "conf", checkout / "recipes")
    assert (int(count), names) == (CHOICES, RECIPES)


def test_an_editable_install_follows_the_source(editable, checkout, tmp_path):
    (checkout / "conf" / "task" / "added.yaml").write_text("# @package _global_\ntask: {name: added}\n")
    try:
        script = "from autoact.config.compose import compose; print(compose(['task=added']).task.name)"
        assert run(editable, "-c", script, cwd=tmp_path) == "added\n"
    finally:
        (checkout / "conf" / "task" / "added.yaml").unlink()


# Another application of Hydra: prints what it was given, and whether that imported torch.
APPLICATION = """
import json, sys
import hydra
from omegaconf import OmegaConf

@hydra.main(version_base="1.3", config_path=None)
def main(config):
    print(json.dumps([OmegaConf.to_container(config), "torch" in sys.modules]))

main()
"""


@pytest.mark.parametrize("how", ["installed", "editable"])
def test_another_hydra_application_finds_the_groups(how, request, tmp_path):
    python = request.getfixturevalue(how)
    (tmp_path / "application.py").write_text(APPLICATION, encoding="utf-8")
    words = ["+autoact/recommendation=file", "+autoact/space=block", "hydra.run.dir=.", "hydra.output_subdir=null"]
    config, torch_imported = json.loads(run(python, "application.py", *words, cwd=tmp_path))
    assert config["autoact"]["recommendation"]["path"] == "recommended.yaml"
    assert config["autoact"]["space"]["granularity"] == "block" and "gelu" in config["autoact"]["space"]["candidates"]
    assert set(config) == {"autoact"} and torch_imported is False
    # No group of autoact's own is in the way of the application's: what is no group is a plain value.
    assert json.loads(run(python, "application.py", "+data=csv", *words[2:], cwd=tmp_path))[0] == {"data": "csv"}
