"""A task's network, data and metric, for a training loop of one's own."""

from __future__ import annotations

from collections.abc import Sequence

from autoact.core.errors import AutoactError
from autoact.tasks.task import Task
from autoact.workflows.task_source import OF_TASKS, configured

# What says a task: what holds its data and network, and whose code may run for them.
READ = (*OF_TASKS, "trust", "plugins")


def load_task(task: str | None = None, *, overrides: Sequence[str] = ()) -> Task:
    """The task that a search of the same words works on: fresh networks, data, metric; its test part stays sealed.

    Args:
        task: a recipe's task by name; the overrides name it unless given.
        overrides: settings as on the command line, such as ``"recipe.arguments.width=128"``.

    Raises:
        AutoactError: a key or value that does not exist, or that has no effect here; data that cannot be read.

    Example:
        >>> task = load_task("diabetes", overrides=["data.max_rows=100"])
        >>> network, data = task.make_module(), task.make_datamodule(0)
        >>> next(iter(data.train_dataloader()))[0].shape
        torch.Size([32, 10])
        >>> task.monitor, task.mode
        ('val_rmse', 'min')
    """
    source = configured(task, overrides)
    for one in source.given:
        if one.key.partition(".")[0] not in READ:
            raise AutoactError(f"{one.text} has no effect: a task is data, network and metric, and nothing is searched")
    return source.task()
