"""Code that is named by reference runs only from packages that the user trusts."""

import sys

import pytest

from autoact.config.trusted_code import import_plugins, load_trusted
from autoact.core.errors import AutoactError


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of the user's in the folder from which he runs; importing its code leaves a mark."""
    (tmp_path / "trusted_pkg").mkdir()
    (tmp_path / "trusted_pkg" / "__init__.py").write_text("")
    (tmp_path / "trusted_pkg" / "models.py").write_text("class Net:\n    pass\n\nclass Outer:\n    Inner = Net\n")
    (tmp_path / "trusted_pkg_2.py").write_text("value = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("trusted_pkg")]:
        del sys.modules[name]


@pytest.mark.parametrize("trust", [["trusted_pkg"], ["trusted_pkg.models"], ["other", "trusted_pkg"]])
def test_a_trusted_package_is_imported_from_the_working_folder(package, trust):
    assert load_trusted("trusted_pkg.models:Net", "module", trust).__name__ == "Net"
    assert load_trusted("trusted_pkg.models:Outer.Inner", "module", trust).__name__ == "Net"


@pytest.mark.parametrize("trust", [[], ["trusted"], ["trusted_pkg.model"], ["trusted_pkg_2"]])
def test_other_code_is_not_run(package, trust):
    with pytest.raises(AutoactError, match="runs code from 'trusted_pkg': allow it with"):
        load_trusted("trusted_pkg.models:Net", "module", trust)
    assert "trusted_pkg" not in sys.modules


def test_the_advice_works(package):
    with pytest.raises(AutoactError, match=r"trust=trusted_pkg$"):
        load_trusted("trusted_pkg.models:Net", "module", [])


def test_recipes_need_no_trust():
    assert load_trusted("autoact.recipes.tabular:TabularRegressor", "recipe.module", []).__name__ == "TabularRegressor"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("trusted_pkg.models", "must have the form package.module:name"),
        ("trusted_pkg.models:", "must have the form package.module:name"),
        ("trusted_pkg.models:Nte", "has no 'Nte': did you mean Net"),
        ("trusted_pkg.modles:Net", "no module named 'trusted_pkg.modles'"),
    ],
)
def test_mistakes(package, reference, message):
    with pytest.raises(AutoactError, match=message):
        load_trusted(reference, "module", ["trusted_pkg"])


def test_an_import_error_inside_of_the_users_code_keeps_its_traceback(package):
    (package / "trusted_pkg" / "broken.py").write_text("import not_there_at_all\n")
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
        load_trusted("trusted_pkg.broken:Net", "module", ["trusted_pkg"])


def test_plugins_are_imported_where_they_are_trusted(package):
    (package / "trusted_pkg" / "plugin.py").write_text("done = True\n")
    with pytest.raises(AutoactError, match=r"plugins=trusted_pkg.plugin runs code .* allow it with trust=trusted_pkg$"):
        import_plugins(["trusted_pkg.plugin"], [])
    assert "trusted_pkg.plugin" not in sys.modules
    import_plugins(["trusted_pkg.plugin"], ["trusted_pkg"])
    assert sys.modules["trusted_pkg.plugin"].done
    with pytest.raises(AutoactError, match=r"plugins: 'trusted_pkg.plugn': no module named 'trusted_pkg.plugn'"):
        import_plugins(["trusted_pkg.plugn"], ["trusted_pkg"])
