"""A search as MLflow shows it, in a real store."""

import json
import os
import threading
import time
from dataclasses import replace

import pytest

from autoact.core.errors import AutoactError
from autoact.study.callbacks import SearchCallback
from autoact.tracking import mlflow_tracker
from autoact.tracking.factory import make_tracker
from autoact.tracking.mlflow_tracker import MlflowTracker
from autoact.tracking.settings import TrackingSettings


class Flaky:
    """A client whose store can go away."""

    def __init__(self, client):
        self.client = client
        self.down = False
        self.refuses = ()
        self.calls = 0
        self.fails_after = None
        self.loses_answer = ""
        self.batches = []
        self.variables = []
        self.goes_on = threading.Event()
        self.goes_on.set()

    def __getattr__(self, name):
        real = getattr(self.client, name)

        def call(*args, **kwargs):
            self.calls += 1
            self.goes_on.wait(60)
            self.variables.append(frozenset(name for name in os.environ if name.startswith("MLFLOW_")))
            if self.fails_after is not None:
                self.fails_after -= 1
                self.down = self.fails_after < 0
            if self.down:
                raise ConnectionRefusedError(111, "Connection refused")
            if name in self.refuses:
                from mlflow.exceptions import MlflowException

                raise MlflowException.invalid_parameter_value("not like this")
            if name == "log_batch":
                self.batches.append(args)
            answer = real(*args, **kwargs)
            if name == self.loses_answer:
                self.loses_answer, self.down = "", True
                raise TimeoutError("timed out")
            return answer

        return call


@pytest.fixture
def make(output, request):
    """Trackers of one experiment per test."""

    def make_one(pause=3600.0, **settings):
        tracker = MlflowTracker(TrackingSettings(**settings), output, request.node.name, pause)
        tracker.store.client = Flaky(tracker.store.client)
        return tracker

    return make_one


@pytest.fixture
def runs(output, request):
    """What the store holds of this test's experiment: (parents, children by trial)."""

    def read(experiment=None):
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{output}/mlflow.db")
        found = client.get_experiment_by_name(experiment or f"autoact-{request.node.name}")
        every = client.search_runs([found.experiment_id])
        parents = [run for run in every if run.data.tags.get("autoact.kind") == "search"]
        children = {int(run.data.tags["autoact.trial"]): run for run in every if "autoact.trial" in run.data.tags}
        return client, parents, children

    return read


def hear(tracker, record, front=1):
    """A trial ends, and there is time to write until the store fails."""
    tracker.trial_finished(record, front, None)
    tracker.before_timing()


def search(tracker, info, records, made, status="finished", **result):
    """A whole search."""
    tracker.search_started(info)
    for count, record in enumerate(records, start=1):
        hear(tracker, record, count)
    tracker.confirmed_one("tuned", 10_000, 0.79)
    tracker.confirmed_one("tuned", 10_001, None)
    tracker.search_finished(made.result(info, records, status, **result))
    tracker.close(status)


def three(made):
    return [made.record(0, 0.8), made.record(1, 0.9), made.record(2, reason="loss is NaN")]


def test_it_is_an_observer_chosen_by_name(output):
    assert isinstance(make_tracker(TrackingSettings(), output, "chosen"), SearchCallback)
    assert make_tracker(TrackingSettings(backend="none"), output, "chosen") is None


def test_the_parent_run_holds_the_search(make, made, runs, tmp_path):
    latency, trials, recommended = tmp_path / "latency.json", tmp_path / "trials.jsonl", tmp_path / "recommended.yaml"
    for file in (latency, trials, recommended):
        file.write_text("{}")
    files = {"latency table": str(latency), "trials": str(trials), "recommendation": str(recommended)}
    search(make(), made.info(), three(made), made, files=files)
    client, (parent,), _ = runs()
    assert parent.info.run_name == "demo-1" and parent.info.status == "FINISHED"
    assert parent.data.params["data.fingerprint"] == "e43a"
    assert parent.data.params["budget_trials"] == "8"
    tags, metrics = parent.data.tags, parent.data.metrics
    assert tags["autoact.simulated"] == "true" and tags["autoact.recommended"] == "balanced"
    assert tags["mlflow.note.content"].startswith("# demo (simulated data): 3 trials")
    assert metrics["best_quality"] == 0.9 and metrics["balanced/test_roc_auc"] == 0.88
    progress = [(point.step, point.value) for point in client.get_metric_history(parent.info.run_id, "best_quality")]
    assert progress == [(1, 0.8), (2, 0.9), (3, 0.9)]
    check = client.get_metric_history(parent.info.run_id, "final_check_by_seed/tuned")
    assert [(point.step, point.value) for point in check] == [(10_000, 0.79)]
    artifacts = {one.path for one in client.list_artifacts(parent.info.run_id)}
    texts = {"facts.json", "front.json", "report.md", "summary.json"}
    assert artifacts == texts | {"latency.json", "trials.jsonl", "recommended.yaml"}


def test_artifacts_can_be_read_back(make, made, runs, output):
    search(make(), made.info(), three(made), made)
    _, (parent,), _ = runs()
    folder = output / "mlartifacts" / parent.info.run_id / "artifacts"
    assert json.loads((folder / "front.json").read_text())[0]["trial"] == 1
    assert json.loads((folder / "summary.json").read_text())["verdict"].startswith("Recommended under")
    assert json.loads((folder / "facts.json").read_text())["notes"] == ["a note"]


def test_passwords_go_nowhere(make, made, runs, output):
    search(make(), made.info(), three(made), made)
    _, (parent,), children = runs()
    for run in (parent, *children.values()):
        assert "secret" not in json.dumps(run.to_dictionary())
    files = (output / "mlartifacts" / parent.info.run_id).rglob("*.*")
    assert all("secret" not in file.read_text() for file in files)


def test_a_child_run_per_trial(make, made, runs):
    search(make(), made.info(), three(made), made)
    client, (parent,), children = runs()
    assert set(children) == {0, 1, 2}
    best, failed = children[1], children[2]
    assert best.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert best.info.run_name == "trial 1: tanh | relu" and best.info.status == "FINISHED"
    assert best.info.end_time - best.info.start_time == 2000
    assert best.data.params["act.a.act"] == "tanh" and best.data.params["learning_rate"] == "0.01"
    assert best.data.metrics["quality"] == best.data.metrics["val_roc_auc"] == 0.9
    curve = client.get_metric_history(best.info.run_id, "curve/val_roc_auc")
    assert [(point.step, round(point.value, 3)) for point in curve] == [(1, 0.8), (2, 0.9), (3, 0.8)]
    assert best.data.tags["autoact.front"] == "true"
    assert best.data.tags["autoact.chosen_as"] == "quality, balanced"
    assert "autoact.front" not in children[0].data.tags
    assert failed.info.status == "FAILED" and failed.data.tags["autoact.reason"] == "loss is NaN"
    assert failed.data.tags["mlflow.note.content"] == "failed: loss is NaN"


def test_more_values_than_fit_into_one_request(make, made, runs):
    facts = {"data": {f"column {number}": f"{number} {'x' * 5990}" for number in range(230)}}
    record = made.record(0)
    curve = tuple({"loss": 1.0 / epoch} for epoch in range(1, 1701))
    long = replace(record, quality=0.5, values={"quality": 0.5}, metrics={}, curve=curve)
    tracker = make()
    search(tracker, made.info(facts=facts), [long], made, front=(0,))
    client, (parent,), children = runs()
    assert parent.data.params["data.column 229"].startswith("229 x")
    assert len(client.get_metric_history(children[0].info.run_id, "curve/loss")) == 1700
    for _, metrics, params, tags in tracker.store.client.batches:
        assert len(metrics) + len(params) + len(tags) <= 1000
        assert sum(len(str(dict(one))) for one in (*metrics, *params, *tags)) < 1_000_000


@pytest.mark.parametrize(("wanted", "logged"), [("none", set()), ("front", {1})])
def test_fewer_children_on_request(wanted, logged, make, made, runs):
    search(make(children=wanted), made.info(), three(made), made)
    _, (parent,), children = runs()
    assert set(children) == logged
    assert parent.data.metrics["trials"] == 3


def test_a_study_that_goes_on_continues_its_run(make, made, runs):
    info, records = made.info(), three(made)
    first = make()
    first.search_started(info)
    hear(first, records[0])
    first.search_finished(made.result(info, records[:1], "interrupted", front=(0,)))
    first.close("interrupted")
    _, (parent,), children = runs()
    assert parent.info.status == "KILLED" and set(children) == {0}
    assert children[0].data.tags["autoact.front"] == "true"
    again = made.info(done=1, budget=9)
    second = make()
    second.search_started(again)
    _, (parent,), _ = runs()
    assert parent.info.status == "RUNNING"
    for record in records[1:]:
        hear(second, record)
    second.search_finished(made.result(again, records))
    second.close("finished")
    client, parents, children = runs()
    assert len(parents) == 1 and parents[0].info.status == "FINISHED"
    assert set(children) == {0, 1, 2}
    assert children[0].data.tags["autoact.front"] == "false"
    assert parents[0].data.params["budget_trials"] == "8"
    assert json.loads(parents[0].data.tags["autoact.changed_since"]) == {"budget_trials": "9"}
    progress = client.get_metric_history(parents[0].info.run_id, "trials")
    assert [point.step for point in progress if point.value == point.step] == [1, 1, 2, 3, 3]


def test_trials_that_were_not_tracked_before_are_logged_at_the_end(make, made, runs):
    info, records = made.info(done=2), three(made)
    tracker = make()
    tracker.search_started(info)
    hear(tracker, records[2])
    tracker.search_finished(made.result(info, records))
    tracker.close("finished")
    _, (parent,), children = runs()
    assert set(children) == {0, 1, 2}
    assert parent.data.metrics["trials"] == 3


def test_another_study_is_another_run(make, made, runs):
    search(make(), made.info(), three(made), made)
    search(make(), made.info(study="demo-2", done=3), three(made), made)
    search(make(), made.info(storage="sqlite:///other.db", done=3), three(made), made)
    _, parents, _ = runs()
    assert len(parents) == 3


def test_a_study_that_was_deleted_and_begins_again_is_another_run(make, made, runs):
    search(make(), made.info(), three(made), made)
    search(make(), made.info(done=0), three(made), made)
    _, parents, _ = runs()
    assert len(parents) == 2


def test_a_child_that_was_cut_short_is_written_again(make, made, runs):
    info, record = made.info(), made.record(0)
    first = make()
    first.search_started(info)
    first.store.client.refuses = ("log_batch",)
    first._children_wanted = "none"
    first._runs.start("trial 0: cut short", {"autoact.trial": "0", "mlflow.parentRunId": first.parent}, 5000)
    first.store.client.refuses = ()
    second = make()
    second.search_started(made.info(done=1))
    assert second.parent == first.parent
    second.search_finished(made.result(info, [record], front=(0,)))
    second.close("finished")
    client, (parent,), children = runs()
    assert len(client.search_runs([parent.info.experiment_id])) == 2
    assert children[0].info.status == "FINISHED" and children[0].data.metrics["quality"] == 0.8
    assert (children[0].info.start_time, children[0].info.end_time) == (5000, 7000)


@pytest.mark.parametrize("by", ["setting", "environment"])
def test_an_outer_run_holds_the_search(by, make, made, runs, output, monkeypatch):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{output}/mlflow.db")
    experiment = client.create_experiment(f"pipeline {by}", artifact_location=(output / "pipeline").as_uri())
    outer = client.create_run(experiment).info.run_id
    if by == "environment":
        monkeypatch.setenv("MLFLOW_RUN_ID", outer)
    tracker = make(parent_run_id=outer if by == "setting" else None)
    search(tracker, made.info(), three(made), made)
    _, (parent,), children = runs(f"pipeline {by}")
    assert parent.data.tags["mlflow.parentRunId"] == outer
    assert children[0].data.tags["mlflow.parentRunId"] == parent.info.run_id
    found = client.get_run(outer)
    assert found.info.status == "RUNNING"
    assert found.data.metrics == {"best_quality": 0.9, "tuned_baseline_quality": 0.8}
    assert found.data.tags["autoact.search_run"] == parent.info.run_id
    assert found.data.tags["autoact.recommended"] == "balanced"
    assert found.data.tags["autoact.simulated"] == "true"
    assert os.environ.get("MLFLOW_RUN_ID") == (outer if by == "environment" else None)


def test_an_unknown_outer_run_is_named(make, monkeypatch):
    with pytest.raises(AutoactError, match=r"tracking\.parent_run_id='nope': no such run at sqlite:///"):
        make(parent_run_id="nope")
    monkeypatch.setenv("MLFLOW_RUN_ID", "no-such-run")
    with pytest.raises(AutoactError, match="MLFLOW_RUN_ID='no-such-run': no such run"):
        make()


def test_a_deleted_outer_run_is_named(make, output):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{output}/mlflow.db")
    run_id = client.create_run("0").info.run_id
    client.delete_run(run_id)
    with pytest.raises(AutoactError, match="that run was deleted"):
        make(parent_run_id=run_id)


def test_the_experiment_can_be_named(make, made, runs, monkeypatch):
    search(make(experiment="named by setting"), made.info(), three(made), made)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "named by environment")
    search(make(), made.info(), three(made), made)
    for name in ("named by setting", "named by environment"):
        assert len(runs(name)[1]) == 1


def test_only_what_is_missing_is_reported(make, made, capsys):
    tracker, records = make(), three(made)
    tracker.search_started(made.info())
    hear(tracker, records[0])
    tracker.store.client.down = True
    tracker.search_finished(made.result(made.info(), records))
    tracker.close("finished")
    assert "autoact: 2 trials and the result could not be logged" in capsys.readouterr().err


def test_a_server_shows_the_run_at_an_address(make, made):
    tracker = make()
    assert tracker.address == ""
    tracker.search_started(made.info())
    assert tracker.address == ""
    tracker.store.uri = "http://anna:secret@server:5000/"
    experiment = tracker._runs.experiment
    run = f"http://***@server:5000/#/experiments/{experiment}/runs/{tracker.parent}"
    assert tracker.address == f"{run}?workflowType=machine_learning"


def test_unknown_settings_are_refused(output):
    with pytest.raises(AutoactError, match=r"unknown tracking.children 'al': did you mean all\?"):
        MlflowTracker(TrackingSettings(children="al"), output, "x")


@pytest.mark.parametrize(
    ("status", "shown"), [("finished", "FINISHED"), ("interrupted", "KILLED"), ("failed", "FAILED")]
)
def test_the_run_ends_as_the_search_did(status, shown, make, made, runs):
    tracker = make()
    tracker.search_started(made.info())
    tracker.close(status)
    _, (parent,), _ = runs()
    assert parent.info.status == shown and parent.info.end_time >= parent.info.start_time


def test_a_search_that_an_error_ended_says_which(make, made, runs):
    tracker = make()
    tracker.search_started(made.info())
    with pytest.raises(ZeroDivisionError):
        try:
            raise ZeroDivisionError("division by zero")
        finally:
            tracker.close("failed")
    _, (parent,), _ = runs()
    assert parent.info.status == "FAILED" and parent.data.tags["autoact.status"] == "failed"
    assert parent.data.tags["mlflow.note.content"] == "failed: ZeroDivisionError: division by zero"


def test_names_that_change_are_told_once(make, made, runs, capsys):
    tracker = make()
    tracker.search_started(made.info())
    for number in range(2):
        hear(tracker, replace(made.record(number), metrics={"val/recall@5": 0.5}))
    tracker.close("finished")
    assert capsys.readouterr().err == "autoact: in MLflow 'val/recall@5' is called 'val/recall_5'\n"
    assert {run.data.metrics["val/recall_5"] for run in runs()[2].values()} == {0.5}


def test_a_search_that_never_started_leaves_no_run(make, runs):
    make().close("failed")
    assert runs()[1] == []


def test_a_store_that_goes_away_and_comes_back_misses_nothing(make, made, runs, capsys):
    tracker = make()
    client, records = tracker.store.client, [made.record(number) for number in range(4)]
    tracker.search_started(made.info())
    hear(tracker, records[0])
    client.down = True
    hear(tracker, records[1])
    calls = client.calls
    hear(tracker, records[2])
    assert client.calls == calls, "asked again within the pause"
    hear(tracker, records[3])
    assert capsys.readouterr().err.count("\n") == 1
    client.down = False
    tracker.search_finished(made.result(made.info(), records))
    tracker.close("finished")
    assert capsys.readouterr().err == ""
    _, (parent,), children = runs()
    assert set(children) == {0, 1, 2, 3} and parent.info.status == "FINISHED"
    assert all(child.data.metrics["quality"] == 0.8 for child in children.values())
    assert parent.data.metrics["best_quality"] == 0.8


def test_a_store_that_stays_away_costs_two_lines(make, made, runs, capsys):
    tracker, records = make(), three(made)
    tracker.store.client.down = True
    search(tracker, made.info(), records, made)
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("autoact: MLflow at sqlite:///") and "(Connection refused)" in first
    assert last.startswith("autoact: 3 trials and the result could not be logged to MLflow at sqlite:///")
    assert "the same command logs them" in last
    assert runs()[1] == []
    again = make()
    again.search_started(made.info(done=3))
    again.search_finished(made.result(made.info(done=3), records))
    again.close("finished")
    _, (parent,), children = runs()
    assert set(children) == {0, 1, 2} and parent.data.tags["autoact.recommended"] == "balanced"


@pytest.mark.parametrize("calls", range(1, 24, 2))
def test_an_outage_at_any_moment_makes_no_duplicates(calls, make, made, runs, capsys):
    tracker, records = make(), three(made)
    tracker.store.client.fails_after = calls
    tracker.search_started(made.info())
    for record in records:
        hear(tracker, record)
    tracker.store.client.fails_after, tracker.store.client.down = None, False
    tracker.search_finished(made.result(made.info(), records))
    tracker.close("finished")
    client, parents, children = runs()
    assert len(parents) == 1 and set(children) == {0, 1, 2}
    assert len(client.search_runs([parents[0].info.experiment_id])) == 4
    assert [child.info.status for _, child in sorted(children.items())] == ["FINISHED", "FINISHED", "FAILED"]
    assert len(client.get_metric_history(children[1].info.run_id, "curve/val_roc_auc")) == 3


@pytest.mark.parametrize("lost", ["create_run", "log_batch", "set_terminated"])
@pytest.mark.parametrize("when", ["at the start", "at a trial"])
def test_a_request_whose_answer_was_lost_is_not_carried_out_twice(lost, when, make, made, runs, capsys):
    tracker, records = make(), three(made)
    if when == "at a trial":
        tracker.search_started(made.info())
    tracker.store.client.loses_answer = lost
    if when == "at the start":
        tracker.search_started(made.info())
    for record in records:
        hear(tracker, record)
    assert tracker.store.client.loses_answer == "" and "timed out" in capsys.readouterr().err
    tracker.store.client.down = False
    tracker.search_finished(made.result(made.info(), records))
    tracker.close("finished")
    client, parents, children = runs()
    assert len(parents) == 1 and len(client.search_runs([parents[0].info.experiment_id])) == 4
    assert [child.info.status for _, child in sorted(children.items())] == ["FINISHED", "FINISHED", "FAILED"]


def test_what_the_store_refuses_does_not_hold_up_the_rest(make, made, runs, capsys):
    tracker, records = make(), three(made)
    tracker.search_started(made.info())
    tracker.store.client.refuses = ("log_batch",)
    hear(tracker, records[0])
    tracker.store.client.refuses = ("log_artifact",)
    hear(tracker, records[1])
    tracker.search_finished(made.result(made.info(), records, files={"trials": __file__}))
    tracker.close("finished")
    assert capsys.readouterr().err == ("autoact: MLflow refused 3 entries, e.g. trial 0: not like this\n")
    _, (parent,), children = runs()
    assert parent.info.status == "FINISHED" and children[1].info.status == "FINISHED"


def test_the_users_own_mlflow_state_is_left_alone(make, made, monkeypatch, tmp_path):
    import mlflow

    monkeypatch.chdir(tmp_path)
    before = mlflow.get_tracking_uri(), dict(os.environ)
    search(make(), made.info(), three(made), made)
    assert mlflow.active_run() is None
    assert (mlflow.get_tracking_uri(), dict(os.environ)) == before
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_failed_is_asked_again_after_the_pause(make, made, runs, capsys):
    tracker = make(pause=0.01)
    client = tracker.store.client
    tracker.search_started(made.info())
    client.down = True
    hear(tracker, made.record(0))
    calls = client.calls
    while client.calls < calls + 3:
        time.sleep(0.01)
    client.down = False
    while not tracker._writer.flush(60.0):
        time.sleep(0.01)
    assert set(runs()[2]) == {0}, "before the end of the search"
    tracker.close("finished")
    assert capsys.readouterr().err.count("\n") == 1, "one line for one outage"


def test_no_callback_waits_for_a_store_that_hangs(make, made, runs, capsys, monkeypatch):
    tracker, records = make(), three(made)
    tracker.search_started(made.info())
    client = tracker.store.client
    client.goes_on.clear()
    for record in records:
        tracker.trial_finished(record, 1, None)
    tracker.confirmed_one("tuned", 10_000, 0.79)
    tracker.search_finished(made.result(made.info(), records))
    assert runs()[2] == {}, "nothing was written so far"
    monkeypatch.setattr(mlflow_tracker, "END", 0.2)
    tracker.close("finished")
    said = capsys.readouterr().err
    assert said.startswith("autoact: 3 trials and the result could not be logged to MLflow at sqlite:///")
    assert "(no answer for 0 s)" in said and said.count("\n") == 1
    client.goes_on.set()
    tracker._writer._thread.join(60)


def test_a_server_is_given_up_soon_and_prints_no_addresses(make, made):
    from autoact.tracking.store import PATIENCE

    tracker, before = make(), dict(os.environ)
    tracker.search_started(made.info())
    client = tracker.store.client
    assert not any(PATIENCE.keys() & names for names in client.variables), "a file needs none"
    client.variables.clear()
    tracker.store.uri = "http://server:5000"
    hear(tracker, made.record(0))
    tracker.close("finished")
    assert client.variables and all(names >= PATIENCE.keys() for names in client.variables)
    assert dict(os.environ) == before


def test_ctrl_c_while_the_rest_is_written_says_what_is_missing(make, made, capsys, monkeypatch):
    tracker, records = make(), three(made)
    tracker.search_started(made.info())
    tracker.store.client.down = True
    hear(tracker, records[0])
    capsys.readouterr()

    def interrupted(patience):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(tracker._writer, "close", interrupted)
        tracker.close("interrupted")
    assert capsys.readouterr().err.startswith("autoact: 1 trials could not be logged")
    tracker._writer.close(60.0)


def test_a_trial_that_was_stopped_early_is_shown_as_such(make, made, runs):
    stopped = replace(
        made.record(1), status="pruned", quality=None, rungs={3: 0.5, 9: 0.625}, reason="others are better"
    )
    search(make(), made.info(), [made.record(0), stopped], made, front=(0,))
    client, _, children = runs()
    run = children[1]
    assert run.info.status == "KILLED"
    assert run.data.tags["autoact.status"] == "pruned"
    assert run.data.tags["mlflow.note.content"] == "pruned: others are better"
    rungs = client.get_metric_history(run.info.run_id, "quality_at_rung")
    assert [(point.step, point.value) for point in rungs] == [(3, 0.5), (9, 0.625)]
    assert "quality" not in run.data.metrics or run.data.metrics["quality"] == 0.8
    assert children[0].data.tags["autoact.status"] == "complete"


def test_a_stopped_trial_is_not_logged_twice(make, made, runs):
    stopped = replace(made.record(1), status="pruned", quality=None, rungs={3: 0.5}, reason="others are better")
    records = [made.record(0), stopped]
    search(make(), made.info(), records, made, front=(0,))
    search(make(), made.info(done=2), records, made, front=(0,))
    client, (parent,), _ = runs()
    assert len(client.search_runs([parent.info.experiment_id])) == 3
