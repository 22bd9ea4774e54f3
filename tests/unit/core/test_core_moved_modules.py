"""Old module names: they are the new modules, say so, and every new name exists."""

import importlib
import sys
import warnings

import pytest

from autoact.core.moved_modules import MOVED


@pytest.fixture
def forgotten():
    """No old name has been imported yet."""
    for name in MOVED:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("old", sorted(MOVED))
def test_an_old_name_is_the_new_module(forgotten, old):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        module = importlib.import_module(old)
    assert f"{old} is {MOVED[old]} now; the old name works for one more release" in [str(one.message) for one in told]
    new = importlib.import_module(MOVED[old])
    if hasattr(new, "__path__"):
        assert (module.__name__, module.__spec__.name) == (old, old)
        public = [name for name in vars(new) if not name.startswith("_")]
        assert all(getattr(module, name) is getattr(new, name) for name in public)
    else:
        assert module is new
        assert (module.__name__, module.__spec__.name) == (MOVED[old], MOVED[old])
    for name in set(MOVED.values()):
        parent, _, last = name.rpartition(".")
        today = importlib.import_module(name)
        assert getattr(importlib.import_module(parent), last) is today


@pytest.mark.filterwarnings("ignore:autoact.faces:FutureWarning")
def test_what_users_wrote_still_works(forgotten):
    from autoact.faces.predict import predict
    from autoact.workflows.models.score_rows import predict as today

    assert predict is today
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'autoact\.faces\.no_such'"):
        importlib.import_module("autoact.faces.no_such")
