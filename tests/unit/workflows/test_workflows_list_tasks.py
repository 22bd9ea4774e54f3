"""``autoact.list_tasks``: every task by name, the user's own too, with what is known of its data."""

import pytest

import autoact
from autoact.config.groups import options
from autoact.workflows.list_tasks import COLUMNS, list_tasks, names_of_tasks

# Tasks that need the user's file -> the target, where it is known.
BRING_A_FILE = {"classification": None, "regression": None, "forecast": None, "sequences": None, "fraud": "Class"}


@pytest.fixture(scope="module")
def tasks():
    return autoact.list_tasks()


def test_all_are_listed_and_those_that_run_as_they_are_come_first(tasks):
    assert {task.name for task in tasks} == set(options("task")) and len(tasks) == len(options("task"))
    assert tasks.names == names_of_tasks() == [task.name for task in tasks][: len(tasks.names)]
    assert {task.name for task in tasks} - set(tasks.names) == set(BRING_A_FILE)


def test_what_comes_along_has_its_size_its_target_and_its_licence(tasks):
    for task in tasks:
        known = (task.rows, task.columns, task.licence)
        assert all((*known, task.target)) if task.ready else not any(known)
        assert task.ready or task.target == BRING_A_FILE[task.name]
        assert task.about and task.metric and task.recipe in options("recipe")
    income = next(task for task in tasks if task.name == "income")
    assert (income.rows, income.columns, income.target, income.licence) == (48842, 15, "income", "CC BY 4.0")
    assert income.data == "packaged, 346 kB" and income.best_known.value == 0.927


def test_simulated_data_are_called_simulated_and_are_nobodys_best(tasks):
    (demand,) = [task for task in tasks if task.data == "simulated"]
    assert demand.name == "demand" and "simulated until a real set" in demand.about and demand.best_known is None


def test_it_is_a_table_a_frame_and_html(tasks):
    assert list(tasks.table.columns) == list(COLUMNS) and len(tasks.table.rows) == len(tasks)
    frame = tasks.to_dataframe().set_index("name")
    assert frame.loc["churn", "rows"] == 7043 and "ROC AUC" in frame.loc["churn", "best_known"]
    assert "<td>churn</td>" in tasks._repr_html_() and repr(tasks).startswith("TaskList(bike, ")


def test_a_task_of_ones_own_is_listed_and_its_file_is_not_read(tmp_path):
    (tmp_path / "task").mkdir()
    text = "# @package _global_\n# Who renews?\ntask: {name: renewals}\ndata: {path: nowhere.csv, target: renewed}\n"
    (tmp_path / "task" / "renewals.yaml").write_text(text, encoding="utf-8")
    (mine,) = list_tasks(["renewals"], config_dirs=[str(tmp_path)])
    assert (mine.about, mine.data, mine.target, mine.rows, mine.ready) == (
        "Who renews?", "nowhere.csv", "renewed", None, True,
    )  # fmt: skip
    assert "renewals" in names_of_tasks([str(tmp_path)])


def test_an_unknown_task_is_answered_with_the_nearest():
    with pytest.raises(autoact.AutoactError, match="unknown task 'hoses': did you mean houses"):
        list_tasks(["hoses"])


def test_a_name_alone_is_no_list():
    with pytest.raises(autoact.AutoactError, match=r"names='churn' must be a list, such as \['churn'\]"):
        list_tasks("churn")
