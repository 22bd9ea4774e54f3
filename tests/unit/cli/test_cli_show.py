"""``show``: for people, as source, and what it refuses."""

import pytest

from autoact.cli.main import main
from autoact.core.choice import Assignment
from autoact.recommendation import Policy, Recommendation


@pytest.fixture
def file(tmp_path):
    site = {"current": "relu", "shape": [2, 8], "channels": 8, "channel_dim": -1}
    evidence = {
        "validation": 0.91,
        "gain_over_tuned_baseline": [0.01, 0.002, 0.018],
        "seeds": 10,
        "challenger": {"a": 1},
    }
    better = Policy(True, Assignment({"1": "snake(a=2)"}), {"learning_rate": 0.01}, 12, "better by 0.01", evidence)
    kept = Policy(False, Assignment({"1": "relu"}), {}, 9, "the tuned baseline", {})
    about = {"data": {"summary": "churn: 100 rows"}, "packages": {"torch": "2.13.0"}}
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


def test_for_people(file, capsys):
    assert main(["show", str(file)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("churn [SIMULATED DATA]: Recommended under quality.\n")
    for line in (
        "quality: recommended\n  better by 0.01\n  1: snake(a=2)\n  train it for 12 epochs with learning_rate=0.01\n",
        "  gain over tuned baseline: +0.01 (+0.002 to +0.018)\n  seeds: 10\n",
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
