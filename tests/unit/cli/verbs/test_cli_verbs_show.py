"""``show``: for people, as source, and what it refuses."""

from dataclasses import replace

import pytest

from autoact.cli.main import main
from autoact.core.assignment import Assignment
from autoact.recommendation import Policy, Recommendation, load_recommendation


@pytest.fixture
def file(tmp_path):
    site = {"current": "relu", "shape": [2, 8], "channels": 8, "channel_dim": -1}
    evidence = {
        "validation": 0.91,
        "gain_over_tuned_baseline": [0.01, 0.002, 0.018],
        "gain_confidence": 0.98,
        "seeds": 10,
        "latency_table_error": 0.02116,
        "error_reduction": -0.0297,
        "cost_per_million": 0.0016,
        "a_note": "{metric}\n\x1b[2J",
        "challenger": {"a": 1},
    }
    better = Policy(True, Assignment({"1": "snake(a=2)"}), {"learning_rate": 0.01}, 12, "better by 0.01", evidence)
    kept = Policy(False, Assignment({"1": "relu"}), {}, 9, "the tuned baseline", {})
    about = {
        "data": {"summary": "churn: 100 rows"},
        "packages": {"torch": "2.13.0"},
        "hardware": {"price": {"currency": "USD"}},
    }
    metric = {"name": "ROC AUC", "mode": "max"}
    made = Recommendation(
        "churn",
        "2026-01-01",
        "Recommended under quality.",
        metric,
        {"quality": better},
        kept,
        {"1": site},
        about=about,
        simulated=True,
    )
    return made.save(tmp_path / "recommended.yaml")


def test_weights_of_activations_have_a_line_where_a_policy_has_some(file, capsys):
    made = load_recommendation(file)
    better = replace(made.policies["quality"], assignment=Assignment({"1": "prelu"}))
    replace(made, policies={"quality": better}, activation_rate=0.1).save(file)
    assert main(["show", str(file)]) == 0
    out = capsys.readouterr().out
    assert out.count("  0.1 times the learning rate, and no weight decay, for weights of activations\n") == 1


def test_for_people(file, capsys):
    assert main(["show", str(file)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("churn [SIMULATED DATA]: Recommended under quality.\n")
    for line in (
        "quality: recommended\n  better by 0.01\n  1: snake(a=2)\n  train it for 12 epochs with learning_rate=0.01\n",
        "  quality: ROC AUC (higher is better)\n",
        "  validation ROC AUC: 0.91\n",
        "  gain over the tuned baseline: +0.01 ROC AUC on test rows (98 % confidence interval +0.002 to +0.018)\n",
        "  fresh seeds: 10\n  median latency: +2.12 % against what the latency table predicted\n",
        "  error reduction: -2.97 % of the tuned baseline's distance to perfect predictions\n",
        "  cost per million samples: 0.0016 USD\n  a note: {metric}\\n\\x1b[2J\n",
        "baseline: the tuned baseline\n  1: relu\n",
        "data: churn: 100 rows\npackages: torch 2.13.0\n",
    ):
        assert line in out
    assert "challenger" not in out


def test_one_policy(file, capsys):
    assert main(["show", str(file), "policy=baseline"]) == 0
    out = capsys.readouterr().out
    assert "baseline: the tuned baseline" in out and "snake" not in out


def test_as_python(file, capsys):
    assert main(["show", str(file), "--as=python"]) == 0
    out = capsys.readouterr().out
    compile(out, "emitted", "exec")
    assert "    '1': lambda: Pointwise(snake, a=2.0)," in out and "torch.sin(a * x).square() / a" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "show needs a recommendation"),
        (["nowhere.yaml"], "cannot read the recommendation 'nowhere.yaml'"),
        (["{}", "--as=pyton"], "unknown --as 'pyton': did you mean python"),
        (["{}", "policy=qualty"], "unknown policy 'qualty': did you mean quality"),
        (["{}", "--wide"], "unknown flag '--wide'"),
        (["{}", "more"], "cannot read 'more'"),
        (["{}", "policy=baseline", "--as=python"], "keeps the activations of the model"),
    ],
)
def test_mistakes(arguments, message, file, capsys):
    assert main(["show", *(word.format(file) for word in arguments)]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


def test_help(capsys):
    assert main(["show", "--help"]) == 0
    assert "python -m autoact show" in capsys.readouterr().out
