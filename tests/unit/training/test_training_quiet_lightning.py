"""A training of ours leaves the user's own logging alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# In a process of its own: autologging patches Lightning for good.
SCRIPT = """
import lightning, mlflow, torch
from mlflow.utils import autologging_utils
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from autoact.training.quiet_lightning import quiet_lightning


class Net(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Linear(2, 1)

    def training_step(self, batch, batch_idx):
        loss = self.net(batch[0]).square().mean()
        self.log("loss", loss, on_epoch=True)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit():
    rows = DataLoader(TensorDataset(torch.ones(4, 2)), batch_size=2)
    off = dict.fromkeys(["logger", "enable_progress_bar", "enable_checkpointing", "enable_model_summary"], False)
    lightning.Trainer(max_epochs=1, accelerator="cpu", **off).fit(Net(), rows)


mlflow.set_tracking_uri("sqlite:///mlflow.db")
mlflow.pytorch.autolog(log_models=False)
found = []
for ours in (True, False):
    with mlflow.start_run() as run:
        if ours:
            with quiet_lightning():
                with quiet_lightning():
                    pass
                fit()
        else:
            fit()
        mlflow.log_metric("mine", 1.0)
    data = mlflow.get_run(run.info.run_id).data
    found.append((len(data.params), sorted(data.metrics)))
assert not autologging_utils._AUTOLOGGING_GLOBALLY_DISABLED
assert found[0] == (0, ["mine"]), found
assert found[1][0] > 0 and len(found[1][1]) > 1, ("autologging writes elsewhere", found)
"""


def test_nothing_is_written_into_the_users_own_run(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
