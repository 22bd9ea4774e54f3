"""The network chosen before its activations: what is trained, what is kept, and what is said."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from autoact.core.errors import AutoactError
from autoact.study.confirmation.retraining import Retraining
from autoact.training.population import PopulationSession
from autoact.workflows.plan import plan
from autoact.workflows.searching.search_setup import PreparedSearch
from autoact.workflows.task_source import Configured, configured, make_tasks, prepared_search

WORDS = [
    *("data.max_rows=120", "trainer.max_epochs=2", "engine=inline", "engine.population=6", "search.threads=1"),
    *("hardware.device=cpu", "candidates=[tanh]", "confirm=none", "search.trials=2"),
]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the one choice that these tests share is made."""
    return tmp_path_factory.mktemp("chosen")


def source(output: Path, *more: str) -> Configured:
    """A small task whose two networks differ in width by far."""
    words = [*WORDS, "recipe.arguments={width: 2, depth: 1}", "space.arguments={width: [2,64]}", f"output={output}"]
    return configured("diabetes", [*words, *more])


@pytest.fixture(scope="module")
def chosen(output: Path) -> tuple[PreparedSearch, list[str]]:
    """The search whose network was chosen first, and what was said meanwhile."""
    said: list[str] = []
    return prepared_search(source(output), say=said.append), said


def test_the_better_network_is_searched_and_named(chosen: tuple[PreparedSearch, list[str]], tmp_path: Path) -> None:
    prepared, said = chosen
    assert prepared.networks is not None
    small, large = prepared.networks.networks
    assert (small.arguments, large.arguments) == ({"width": 2}, {"width": 64})
    assert small.score is not None and large.score is not None and small.score > large.score, "rmse: lower is better"
    assert prepared.networks.index == 1 and prepared.networks.trainings == 0
    assert prepared.task.make_module().layers[0].linear.out_features == 64
    assert prepared.task.identity["arguments"]["width"] == prepared.settings.recipe.arguments["width"] == 64
    assert prepared.task.facts["arguments"]["width"] == 64, "the recommendation says it"
    assert prepared.notes[0].startswith(f"network: width=64, the best of 2: {large.text()}, as configured width=2: ")
    assert said[0].endswith("2 networks x 3 learning rates x 2 seeds ...")
    assert said[1:] == [f"  width=2: {small.text()}", f"  width=64: {large.text()}"]
    prepared.networks.save(tmp_path / "networks.csv")
    rows = list(csv.DictReader((tmp_path / "networks.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["width"], row["chosen"]) for row in rows] == [("2", "0"), ("64", "1")]
    assert float(rows[1]["score"]) == large.score and int(rows[0]["parameters"]) == 10 * 2 + 2 + 2 + 1


def test_the_study_is_that_of_the_chosen_network(chosen: tuple[PreparedSearch, list[str]], output: Path) -> None:
    words = [*WORDS, "recipe.arguments={width: 64, depth: 1}", f"output={output}"]
    assert prepared_search(configured("diabetes", words)).identity == chosen[0].identity


def test_the_same_command_trains_nothing_again(
    chosen: tuple[PreparedSearch, list[str]], output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PopulationSession, "start", lambda *_: pytest.fail("trained again"))
    said: list[str] = []
    again = prepared_search(source(output, "search.trials=9", "candidates=[gelu]"), say=said.append)
    assert (again.networks, said) == (chosen[0].networks, [])
    other = source(output, "trainer.max_epochs=1")
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        prepared_search(other)


def test_a_plan_says_what_is_trained_first_and_writes_nothing(output: Path, tmp_path: Path) -> None:
    lines = plan(source(tmp_path / "new")).lines
    assert dict(lines)["choosing the network"].startswith("12 trainings, at most ")
    note = next(text for name, text in lines if name == "note")
    assert note.startswith("the network is chosen first: 2 networks x 3 learning rates x 2 seeds = 12 trainings; what")
    assert not (tmp_path / "new").exists()


def test_what_the_time_left_untrained_is_said_and_trained_with_more(tmp_path: Path) -> None:
    late = prepared_search(source(tmp_path, "search.minutes=0.0001"))
    assert late.networks is not None and late.networks.index == 0
    assert late.networks.note == (
        "network: as configured, width=2: a third of search.minutes=0.0001 left 2 of 2 networks untrained: the same "
        "command with search.minutes=1 trains them"
    )
    assert late.networks.networks[0].text() == "not trained"
    again = prepared_search(source(tmp_path, "search.minutes=0.0001"), say=pytest.fail)
    assert again.networks == late.networks, "the choice stands: the study stays the same one"
    more = prepared_search(source(tmp_path, "search.minutes=10"))
    assert more.networks is not None and all(one.score is not None for one in more.networks.networks)


def test_what_was_trained_before_an_interruption_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, calls = Retraining.run, []

    def stop_at_the_second(self: Retraining, *arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return run(self, *arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Retraining, "run", stop_at_the_second)
        prepared_search(source(tmp_path))
    started: list[int] = []
    start = PopulationSession.start
    monkeypatch.setattr(
        PopulationSession, "start", lambda self, every: (started.append(len(every)), start(self, every))[1]
    )
    assert prepared_search(source(tmp_path)).networks is not None
    assert sum(started) == 6, "the other network alone"


def test_networks_that_look_alike_are_not_trained_as_one(tmp_path: Path) -> None:
    words = [*WORDS, "recipe.arguments={width: 64, depth: 1, dropout: 0.0}", f"output={tmp_path}"]
    prepared = prepared_search(configured("diabetes", [*words, "space.arguments.dropout=[0.0,0.9]"]))
    assert prepared.networks is not None
    first, second = prepared.networks.networks
    assert first.parameters == second.parameters and first.score != second.score


def test_the_worst_networks_failure_is_told_and_not_chosen(tmp_path: Path) -> None:
    words = [*WORDS, "recipe.arguments={width: 2, depth: 1}", f"output={tmp_path}", "space.learning_rate=[]"]
    prepared = prepared_search(configured("diabetes", [*words, "space.arguments.learning_rate=[0.01,1e30]"]))
    assert prepared.networks is not None
    one = next(one for one in prepared.networks.networks if one.arguments["learning_rate"] == 1e30)
    assert one.score is None and "not finite" in one.reason
    assert prepared.task.facts["arguments"]["learning_rate"] != 1e30


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("space.arguments={widht: [2,4]}", "unknown argument of space.arguments 'widht': did you mean width"),
        ("space.arguments.width=[64]", r"leaves nothing to choose from: .* or recipe.arguments.width=64"),
        ("space.arguments.width=64", r"space.arguments.width=64 must be a list of two values or more"),
        (
            "space.arguments.width=[2,a]",
            "space.arguments with width=a: recipe.arguments.width=a must be a whole number",
        ),
        ("space.arguments.dropout=[0.1,2.0]", "space.arguments with dropout=2.0: .* between 0 and 1"),
        ("space.arguments={width: [1,2,3,4,5], depth: [1,2,3,4,5]}", "makes 25 networks .* 24 at most"),
    ],
)
def test_mistakes_are_one_line(word: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(AutoactError, match=message) as caught:
        prepared_search(configured("diabetes", [*WORDS, word, f"output={tmp_path}"]))
    assert "\n" not in str(caught.value)


def test_a_task_that_is_an_object_is_refused() -> None:
    (task,) = make_tasks(configured("diabetes").config)
    with pytest.raises(AutoactError, match="the task is an object, which builds its own network"):
        prepared_search(configured(task, ["space.arguments.width=[2,4]"]))


def test_the_test_part_stays_sealed(chosen: tuple[PreparedSearch, list[str]], output: Path) -> None:
    assert chosen[0].task.test is not None and chosen[0].task.test.openings == []
