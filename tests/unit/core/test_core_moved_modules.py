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
    assert module is importlib.import_module(MOVED[old])
    assert (module.__name__, module.__spec__.name) == (MOVED[old], MOVED[old])


@pytest.mark.filterwarnings("ignore:autoact.faces:FutureWarning")
def test_what_users_wrote_still_works(forgotten):
    from autoact.faces.predict import predict
    from autoact.workflows.predict import predict as today

    assert predict is today
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'autoact\.faces\.no_such'"):
        importlib.import_module("autoact.faces.no_such")
