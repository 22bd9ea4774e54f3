"""Known results: in the metric of their task, of a task that exists, with who says so."""

from autoact.config.compose import compose, settings
from autoact.config.groups import options
from autoact.tasks.known_results import KNOWN_RESULTS
from autoact.tasks.metrics import resolve


def test_each_is_of_a_task_in_the_metric_of_which_it_is_written():
    assert set(KNOWN_RESULTS) <= set(options("task"))
    for name, known in KNOWN_RESULTS.items():
        task = settings(compose([f"task={name}"])).task
        assert known.metric.startswith(resolve(task.metric, task.kind).title)
        assert known.source and known.split and known.model


def test_it_is_a_sentence():
    assert str(KNOWN_RESULTS["bike"]) == "65.1 RMSE in bikes (gradient boosting; the last 20 % in time)"
