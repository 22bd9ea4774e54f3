"""A real Ray cluster of two nodes on the loopback address; one of them is killed in the middle, and nothing is lost.

The cluster and its driver run in a process of their own: this file is its script.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lightning
import pytest
import torch
from torch import nn

from autoact.core.assignment import Assignment
from autoact.core.trial import Candidate
from autoact.engines.factory import open_engine
from autoact.engines.inline import InlineEngine
from autoact.engines.job import Job, WorkerContext
from autoact.engines.settings import EngineSettings
from autoact.tasks.task import Task
from autoact.training.lightning_session import LightningSession

JOBS = 6


@pytest.fixture(scope="module")
def report():
    """What the driver found."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install '.[ray]'")
    # Short, since sockets lie below it; apart, since Ray notes the last cluster of its folder for others to join.
    folder = Path(tempfile.mkdtemp(prefix="aa"))
    # The setting with the strange name keeps every port on the loopback address.
    own = {"RAY_TMPDIR": str(folder), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | own
    package = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package, environment.get("PYTHONPATH")]))
    command = [sys.executable, __file__, str(folder)]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stderr
        yield json.loads((folder / "report.json").read_text(encoding="utf-8"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_jobs_ran_on_both_nodes(report):
    first = {node for started in report["started"] for node in started[:1]}
    assert first == {report["head"], report["lost"]}


def test_every_outcome_arrives_and_equals_that_of_one_process(report):
    assert len(report["found"]) == JOBS
    assert report["found"] == report["expected"]


def test_what_the_lost_node_trained_ran_again_elsewhere(report):
    again = [started for started in report["started"] if report["lost"] in started]
    assert again
    assert all(started[-1] == report["head"] for started in again)
    assert all(len(started) == 1 for started in report["started"] if started not in again)


def test_everything_stayed_on_the_loopback_address(report):
    assert report["addresses"] == ["127.0.0.1"]


def drive(folder):
    """The driver: two nodes, six jobs, one node lost while both train."""
    import ray
    from ray.cluster_utils import Cluster

    jobs = [job(number) for number in range(JOBS)]
    expected = [InlineEngine(worker_context()).submit(job).result() for job in jobs]
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    other = cluster.add_node(num_cpus=1)
    settings = EngineSettings(name="ray", address=cluster.address)
    engine = open_engine(settings, worker_context(Held(folder)), torch.device("cpu"))
    engine.ready()
    assert engine.workers == 2
    nodes = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes()}
    futures = [engine.submit(job) for job in jobs]
    wait_for(lambda: len(notes(folder)) == 2)
    cluster.remove_node(other, allow_graceful=False)
    head = ray.get_runtime_context().get_node_id()
    for _, node, process in notes(folder):
        if node != head:  # a lost machine takes its workers along at once
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    (folder / "released").touch()
    found = [future.result(timeout=100) for future in futures]
    engine.shutdown()
    cluster.shutdown()
    report = {
        "expected": [plain(outcome) for outcome in expected],
        "found": [plain(outcome) for outcome in found],
        "head": head,
        "lost": next(node for node in nodes if node != head),
        "addresses": sorted(set(nodes.values())),
        "started": [[node for seed, node, _ in notes(folder) if seed == number] for number in range(JOBS)],
    }
    (folder / "report.json").write_text(json.dumps(report), encoding="utf-8")


def job(number):
    """One candidate; its seed is its number."""
    return Job(((number, Candidate(Assignment({"net.1": ("tanh", "gelu")[number % 2]}), {}, number)),))


def plain(outcome):
    """An outcome without what a clock says."""
    return [[r.number, r.status, r.quality, [dict(epoch) for epoch in r.curve], r.epochs] for r in outcome.records]


def wait_for(what):
    """Look until it is true, for a minute at most."""
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end, "nothing happened within a minute"
        time.sleep(0.05)


def notes(folder):
    """Seed, node and process of every training that began, the oldest first."""
    lines = [json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("began-*.json")]
    return [entry for _, *entry in sorted(lines)]


class Net(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 1))

    def forward(self, x):
        return self.net(x)[:, 0]

    def training_step(self, batch, batch_idx):
        return nn.functional.mse_loss(self(batch[0]), batch[1])

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.training_step(batch, batch_idx), batch_size=len(batch[0]))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Rows(lightning.LightningDataModule):
    def __init__(self, seed):
        super().__init__()
        self.seed = seed
        x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
        self.rows = torch.utils.data.TensorDataset(x, torch.sin(x.sum(1)))

    def train_dataloader(self):
        return torch.utils.data.DataLoader(self.rows, batch_size=5, shuffle=True)

    def val_dataloader(self):
        return torch.utils.data.DataLoader(self.rows, batch_size=20)


class Held(lightning.Callback):
    """Notes where a training runs; it waits in its second epoch until all are released."""

    def __init__(self, folder):
        self.folder = folder

    def on_train_start(self, trainer, pl_module):
        import ray

        seed, process = trainer.datamodule.seed, os.getpid()
        entry = [time.time(), seed, ray.get_runtime_context().get_node_id(), process]
        draft = self.folder / f"draft-{process}-{seed}"
        draft.write_text(json.dumps(entry), encoding="utf-8")
        draft.rename(self.folder / f"began-{process}-{seed}.json")

    def on_train_epoch_start(self, trainer, pl_module):
        while trainer.current_epoch == 1 and not (self.folder / "released").exists():
            time.sleep(0.02)


def worker_context(*callbacks):
    """A tiny task."""
    task = Task(
        name="cluster",
        make_module=Net,
        make_datamodule=Rows,
        monitor="val_loss",
        mode="min",
        quality_unit="loss",
        example_input=torch.zeros(2, 3),
        make_input=lambda size: torch.zeros(size, 3),
        trainer={"max_epochs": 3},
        make_callbacks=lambda: callbacks,
    )
    return WorkerContext(task, lambda: LightningSession(task))


if __name__ == "__main__":
    drive(Path(sys.argv[1]))
