"""Private names of other packages: they stand in ``_compat_*.py`` alone, and a release without one says what breaks."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import optuna
import pytest
import torch
import torchmetrics
from lightning.pytorch.loops.fit_loop import _FitLoop
from optuna.samplers import NSGAIISampler, PartialFixedSampler, RandomSampler
from torch import nn

from autoact.core.errors import AutoactError
from autoact.study.storage._compat_optuna import fixed_parameters, generation_key, given_parameters

AUTOACT = Path(__file__).resolve().parents[2] / "autoact"
LIBRARIES = "torch|torchmetrics|lightning|optuna|mlflow|sklearn|joblib|hydra|omegaconf|ray|loky|numpy|np|pandas|pd"

# Where a private name is imported from, and the file that asks for it.
NEEDED = [
    ("torch._C", "DisableTorchFunction", "sites/_compat_torch.py"),
    ("torch._ops", "OpOverload", "sites/_compat_torch.py"),
    ("torch.utils._python_dispatch", "TorchDispatchMode", "sites/_compat_torch.py"),
    ("torch.utils._python_dispatch", "_disable_current_modes", "sites/_compat_torch.py"),
    *(
        ("torch._C._functorch", name, "training/state/_compat_torch.py")
        for name in ("_add_batch_dim", "get_unwrapped", "is_batchedtensor", "maybe_get_bdim", "maybe_get_level")
    ),
    ("torch._functorch.pyfunctorch", "retrieve_current_functorch_interpreter", "training/state/_compat_torch.py"),
    *(("torch.utils._pytree", f"tree_{verb}", "training/state/_compat_torch.py") for verb in ("flatten", "map")),
    ("torch", "_fused_adamw_", "training/state/_compat_torch.py"),
    ("torch", "_foreach_zero_", "training/state/_compat_torch.py"),
    ("lightning.fabric.utilities.data", "_set_sampler_epoch", "training/_compat_lightning.py"),
    *(
        ("lightning.pytorch.core.optimizer", name, "training/_compat_lightning.py")
        for name in ("_configure_optimizers", "_configure_schedulers_automatic_opt", "_validate_scheduler_api")
    ),
    ("optuna.study._constrained_optimization", "_CONSTRAINTS_KEY", "study/storage/_compat_optuna.py"),
]


@pytest.mark.parametrize(("module", "name", "file"), NEEDED)
def test_a_release_without_the_name_says_what_breaks(
    module: str, name: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = module.partition(".")[0]
    monkeypatch.delattr(importlib.import_module(module), name)
    spec = importlib.util.spec_from_file_location("compat_again", AUTOACT / file)
    assert spec is not None and spec.loader is not None
    said = rf"^{library} {re.escape(version(library))} no longer has a name that autoact needs for .*{name}.*: install"
    with pytest.raises(AutoactError, match=said):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_a_sampler_without_generations_says_what_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "generation" in generation_key(NSGAIISampler())
    for kind in NSGAIISampler.__mro__:
        if "_get_generation_key" in vars(kind):
            monkeypatch.delattr(kind, "_get_generation_key")
    with pytest.raises(AutoactError, match=r"needs for the generations of a genetic sampler"):
        generation_key(NSGAIISampler())


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_parameters_that_optuna_keeps_privately_say_what_breaks() -> None:
    around, given = PartialFixedSampler({"a": 1}, RandomSampler(seed=0)), optuna.trial.FixedTrial({"b": 2})
    study = optuna.create_study(sampler=around)
    study.enqueue_trial({"c": 3})
    asked = study.ask()
    assert given_parameters(given) == {"b": 2} and given_parameters(asked) == {"c": 3}
    assert fixed_parameters(study, study.trials[0]) == {"a": 1, "c": 3}
    del around._fixed_params, given._params
    with pytest.raises(AutoactError, match="needs for parameters that PartialFixedSampler fixes"):
        fixed_parameters(study, study.trials[0])
    with pytest.raises(AutoactError, match="needs for the values of a FixedTrial"):
        given_parameters(given)


def private_imports(source: str) -> Iterator[str]:
    """The private modules and names of other packages that a source text imports, or names with their dots."""
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute):
            names = [ast.unparse(node)] if re.fullmatch(rf"({LIBRARIES})(\.\w+)+", ast.unparse(node)) else []
        for name in names:
            top, *rest = name.split(".")
            ours = top == "autoact" or top in sys.stdlib_module_names
            if not ours and any(re.match(r"_(?!_)", part) for part in rest):
                yield name


def test_private_names_stand_in_the_compat_files_alone() -> None:
    files = [file for file in AUTOACT.rglob("*.py") if not file.name.startswith("_compat_")]
    used = {str(file.relative_to(AUTOACT)): list(private_imports(file.read_text("utf-8"))) for file in files}
    assert {file: names for file, names in used.items() if names} == {}


def test_a_private_name_is_seen() -> None:
    assert list(private_imports("from torch._C import x\nimport optuna._y")) == ["torch._C.x", "optuna._y"]
    assert list(private_imports("torch._foreach_add_(a)\nself._x\ntorch.nn.Module")) == ["torch._foreach_add_"]


def test_private_attributes_of_objects_are_there() -> None:
    """What autoact reads from objects of other packages; ``docs/architecture.md`` says what populations are."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    metric = torchmetrics.MeanMetric()
    for owner, name, needed_for in [
        (optimizer, "_optimizer_step_pre_hooks", "seeing that somebody listens to an optimiser's steps"),
        (optimizer, "_optimizer_step_post_hooks", "seeing that somebody listens to an optimiser's steps"),
        (nn.Linear(1, 1), "_backward_hooks", "seeing that somebody listens to a module's gradients"),
        (nn.Linear(1, 1), "_parameters", "stacking the weights of many candidates"),
        (torch.zeros(1), "_version", "seeing that a tensor was written to"),
        (metric, "_update_count", "seeing that a metric was fed"),
        (metric, "_forward_cache", "logging what a metric gave for a batch"),
        (_FitLoop, "_results", "reading what a step logged"),
    ]:
        assert hasattr(owner, name), f"autoact needs {name} for {needed_for}"
