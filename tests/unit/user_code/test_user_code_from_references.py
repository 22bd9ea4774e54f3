"""The user's own module from the command line: references become a task, mistakes become one line."""

import sys

import pytest

from autoact.config.compose import compose, settings
from autoact.core.errors import AutoactError
from autoact.user_code.from_references import own_task

SOURCE = """
import lightning, torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

class Net(lightning.LightningModule):
    def __init__(self, width=4):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, x):
        return self.net(x)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

class Data(lightning.LightningDataModule):
    def __init__(self, rows=8):
        super().__init__()
        self.rows = rows

    def train_dataloader(self):
        return DataLoader(TensorDataset(torch.zeros(self.rows, 3), torch.zeros(self.rows)), batch_size=self.rows)

class Quiet(lightning.Callback):
    pass

class Loud(lightning.Callback):
    def __init__(self, word):
        super().__init__()

def two():
    return [Quiet(), Quiet()]

class Wide(Net):
    def __init__(self, **rest):
        super().__init__(**rest)

shared, shared_net = Quiet(), Net()

class Plain:
    pass

def score(y_true, y_score):
    return 1.0

def broken(width):
    raise KeyError("a bug of the user's")
"""


@pytest.fixture(scope="module", autouse=True)
def package(tmp_path_factory):
    """A module of the user's own on the path."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_code.py").write_text(SOURCE)
    sys.path.insert(0, str(folder))
    yield
    sys.path.remove(str(folder))
    sys.modules.pop("own_code", None)


BOTH = ["module=own_code:Net", "datamodule=own_code:Data", "trust=own_code"]
JUDGED = ["monitor=val_auc", "mode=max"]


def task_of(*overrides):
    return own_task(settings(compose(overrides)))


def test_references_become_a_task():
    task = task_of(
        *BOTH, *JUDGED, "module_arguments.width=6", "datamodule_arguments.rows=5", "callbacks=own_code:Quiet"
    )
    assert (task.name, task.monitor, task.mode, task.metric) == ("Net", "val_auc", "max", None)
    assert task.make_module().net[0].out_features == 6
    assert task.make_input(7).shape == (7, 3)
    first, second = task.make_callbacks(), task.make_callbacks()
    assert type(first[0]).__name__ == "Quiet" and first[0] is not second[0]


def test_a_function_can_decide_instead_of_what_the_module_logs():
    task = task_of(*BOTH, "metric=own_code:score", "metric_mode=min")
    assert (task.monitor, task.mode, task.metric.name) == ("val_score", "min", "score")


def test_a_function_may_return_several_callbacks():
    task = task_of(*BOTH, *JUDGED, "callbacks=[own_code:two,own_code:Quiet]")
    assert [type(one).__name__ for one in task.make_callbacks()] == ["Quiet"] * 3


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([BOTH[0], *JUDGED], "needs datamodule="),
        ([*BOTH[:2], *JUDGED], "allow it with trust=own_code"),
        (BOTH, "needs monitor=NAME and mode=max or mode=min"),
        ([*BOTH, "monitor=val_auc"], "needs monitor=NAME and mode=max or mode=min"),
        ([*BOTH, "monitor=val_auc", "mode=best"], "Allowed: max, min"),
        ([*BOTH, *JUDGED, "task=cancer"], "task=cancer and module=own_code:Net exclude each other"),
        ([*BOTH, *JUDGED, "metric=f1"], "the module logs what decides"),
        ([*BOTH, "metric=own_code:score"], "metric_mode=max or metric_mode=min"),
        ([*BOTH, "metric=own_code:scroe", "metric_mode=max"], "did you mean score"),
        ([*BOTH, *JUDGED, "module_arguments.widht=3"], "did you mean width.*give arguments as module_arguments.NAME"),
        ([*BOTH, *JUDGED, "module=own_code:Wide", "module_arguments.widht=3"], "unexpected keyword argument 'widht'"),
        ([*BOTH, *JUDGED, "module=own_code:shared_net"], "an object, which all trainings would share: name its class"),
        ([*BOTH, *JUDGED, "callbacks=own_code:shared"], "an object, which all trainings would share: name its class"),
        ([*BOTH, *JUDGED, "callbacks=own_code:Loud"], "missing a required argument: 'word'.*without arguments"),
        ([*BOTH, *JUDGED, "callbacks=own_code:Plain"], "gives Plain, not a lightning.Callback"),
        ([*BOTH, *JUDGED, "datamodule_arguments.n=3"], "give arguments as datamodule_arguments.NAME=VALUE"),
        ([*BOTH, *JUDGED, "module=own_code:Plain"], "gives Plain, not a lightning.LightningModule"),
        ([*BOTH, *JUDGED, "datamodule=own_code:Net"], "gives Net, not a lightning.LightningDataModule"),
        ([*BOTH, *JUDGED, "callbacks=[own_code:Quite]"], "did you mean Quiet"),
    ],
)
def test_mistakes(overrides, message):
    with pytest.raises(AutoactError, match=message):
        task_of(*overrides)


def test_a_bug_in_the_users_code_keeps_its_traceback():
    with pytest.raises(KeyError, match="a bug"):
        task_of(*BOTH, *JUDGED, "module=own_code:broken", "module_arguments.width=1")
