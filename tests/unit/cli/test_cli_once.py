"""A key given twice, and models that are not there."""

from __future__ import annotations

import pytest

from autoact.cli.main import main

WANTED = {
    "predict": (["input=a", "input=b"], "input is given twice, input=a and input=b: give it once"),
    "export": (["output=a.onnx", "--output=b.onnx"], "output is given twice, output=a.onnx and --output=b.onnx"),
    "promote": (["models:/x/1", "to=a", "to=b"], "to is given twice"),
    "rollback": (["models:/x@a", "runs=a", "runs=a"], "runs is given twice, runs=a and runs=a"),
    "show": (["x.yaml", "policy=quality", "policy=economy"], "policy is given twice"),
}


@pytest.mark.parametrize("verb", WANTED)
def test_a_key_is_given_once(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, message = WANTED[verb]
    assert main([verb, *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "model=nothere", "input=a.csv", "output=b.csv"], "model=nothere: there is no such folder; write"),
        (["export", "model=nothere", "output=b.onnx"], "model=nothere: there is no such folder; write models:/NAME"),
        (["export", "model=nothere", "output=m.txt"], "output=m.txt must end in .onnx, such as output=model.onnx"),
        (["predict", "model=nothere", "input=a.csv", "output=s.xlsx"], "Allowed endings: .csv, .csv.gz, .parquet, .pq"),
        (["show", "http://host/x"], "allowed is a path, runs:/ID"),
    ],
)
def test_mistakes(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
