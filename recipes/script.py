"""A recipe's file as a training script: plain Lightning, with the activations and settings that a search recommends.

    python -m autoact.recipes.residual task=houses
    python -m autoact.recipes.residual task=houses recommendation=recommended.yaml policy=quality

So does a copy of the file in a folder of one's own, with whatever is changed in it. The test part stays sealed.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Sequence
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor

import autoact


def main(*recipes: type[lightning.LightningModule]) -> None:
    """Train one of a file's recipes as the command's words say, and print where its weights are."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    try:
        print(train(recipes, sys.argv[1:]))
    except autoact.AutoactError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


def train(recipes: Sequence[type[lightning.LightningModule]], words: Sequence[str]) -> str:
    """Train on the training rows and keep the best epoch on the validation rows.

    Args:
        recipes: the file's networks; the first one for the task's kind is trained.
        words: settings as on the command line, ``task=NAME`` or ``data.path=FILE`` among them, and
            ``recommendation=FILE`` for the configuration that a search recommends, of ``policy=NAME`` where not its
            preferred one.

    Returns:
        The validation score, and the checkpoint's file.

    Raises:
        autoact.AutoactError: a key or value that does not exist, a policy that averages several networks, or no recipe
            of this file is for such a task.
    """
    recommendation, policy = _last("recommendation", words), _last("policy", words)
    chosen = None if recommendation is None else autoact.load_recommendation(recommendation)
    if chosen is not None:
        words = [word for word in words if not word.startswith(("recommendation=", "policy="))]
        policy, held = chosen.named(policy)
        if size := held.ensemble:
            raise autoact.AutoactError(
                f"policy={policy} averages {size} trainings, and this script trains one network: name another policy "
                "(python -m autoact train makes one model of several trainings)"
            )
        words = [*_as_recommended(recipes, chosen, held), *words]
    *left_out, network_of_file = _of_this_file(recipes, words) or [""]
    task = autoact.load_task(overrides=[*left_out, *words, *filter(None, [network_of_file])])

    lightning.seed_everything(0, verbose=False)
    network, data = task.make_module(), task.make_datamodule(0)
    best = ModelCheckpoint(dirpath=task.name, filename="best", monitor="val_loss", enable_version_counter=False)
    validated = Validated()
    callbacks: list[lightning.Callback] = [best, validated]
    if chosen is not None:
        callbacks.append(
            autoact.ApplyActivations(chosen, policy, example_input=task.example_input, rescale=chosen.rescale)
        )
    shown = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(callbacks=callbacks, **{**shown, **task.trainer})
    trainer.fit(network, datamodule=data)
    trainer.validate(network, datamodule=data, ckpt_path=best.best_model_path, verbose=False)
    assert task.metric is not None  # a recipe's task has one
    reached = validated.score(task.metric)
    return f"validation {task.quality_unit} {reached:,.6g} with seed 0; weights in {best.best_model_path}"


def _last(key: str, words: Sequence[str]) -> str | None:
    """The value that a key has in the end; None without one."""
    return next((word.partition("=")[2] for word in reversed(words) if word.startswith(f"{key}=")), None)


def _as_recommended(
    recipes: Sequence[type[lightning.LightningModule]], chosen: autoact.Recommendation, held: autoact.Policy
) -> list[str]:
    """The words for the search's network, where it is one of this file, and for the recommended settings."""
    data = chosen.about.get("data", {})
    searched = next((one for one in recipes if one.__name__ == str(data.get("recipe")).rpartition(":")[2]), None)
    then = {} if searched is None else data.get("arguments", {})
    arguments = {name: value for name, value in then.items() if name in _taken(searched)}
    return [f"recipe.arguments.{name}={json.dumps(value)}" for name, value in {**arguments, **held.settings}.items()]


def _taken(recipe: type[lightning.LightningModule] | None) -> set[str]:
    """The arguments that a network takes, those of its bases among them."""
    return {name for base in (recipe.__mro__ if recipe else ()) for name in inspect.signature(base).parameters}


def _of_this_file(recipes: Sequence[type[lightning.LightningModule]], words: Sequence[str]) -> list[str]:
    """The words that name the recipe of this file for the task's kind, and leave out what another network takes."""
    name = _last("task", words)
    if name is None:
        return []  # that one is missing is said where tasks are read
    kind = autoact.list_tasks([name]).tasks[0].kind
    kinds = {recipe: getattr(recipe, "kinds", ()) for recipe in recipes}
    fitting = [recipe for recipe in recipes if kind in kinds[recipe]]
    if not fitting:
        has = ", ".join(f"{recipe.__name__} for {' and '.join(kinds[recipe])}" for recipe in recipes)
        raise autoact.AutoactError(f"task={name} is {kind}, and this file has {has}")
    plain = [word for word in words if not word.lstrip("+").startswith(("recipe.arguments.", "recipe.module="))]
    packaged = autoact.load_task(overrides=plain).identity["arguments"]
    others = [f"~recipe.arguments.{one}" for one in packaged if one not in _taken(fitting[0])]
    return [*others, f"recipe.module={fitting[0].__module__}:{fitting[0].__name__}"]


class Validated(lightning.Callback):
    """Scores and targets of the validation rows, as the last pass found them."""

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """Forget the pass before."""
        self.parts: list[dict[str, Tensor]] = []

    def on_validation_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, *_: Any) -> None:
        """What ``validation_step`` returns for a batch."""
        self.parts.append(outputs)

    def score(self, metric: autoact.Metric) -> float:
        """The metric of all rows, in its own unit."""
        target, scores = (torch.cat([part[name] for part in self.parts]).numpy() for name in ("target", "score"))
        return float(metric.function(target, scores))
