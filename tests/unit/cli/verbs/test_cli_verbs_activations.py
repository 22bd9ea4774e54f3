"""The catalogue on the command line."""

import pytest

from autoact.activations import registry
from autoact.cli.main import main


def test_the_list_names_every_activation(capsys):
    assert main(["activations"]) == 0
    out = capsys.readouterr().out
    assert [row.name for row in registry.all() if f"{row.name} " not in out] == []
    assert f"{len(registry.all())} activations" in out


def test_one_in_full(capsys):
    assert main(["activations", "leaky_relu"]) == 0
    out = capsys.readouterr().out
    row = registry.get("leaky_relu")
    assert row.formula in out and row.reference in out
    assert "parameter negative_slope" in out and "0.01" in out


def test_the_range_that_a_search_takes_is_shown_with_its_scale_and_source(capsys):
    assert main(["activations", "sine"]) == 0
    assert "  searched in          1 .. 60, log (twice the 30 of Sitzmann et al., 2020)" in capsys.readouterr().out
    assert main(["activations", "threshold"]) == 0
    assert "0 .. 2, linear" in capsys.readouterr().out


def test_normalisations_are_shown_apart(capsys):
    assert main(["activations"]) == 0
    out = capsys.readouterr().out
    assert "4 stand at normalisations, and nowhere else: space.normalisations=[dynamic_tanh,derf]." in out
    assert main(["activations", "dyt"]) == 0
    out = capsys.readouterr().out
    assert "yes, in the place of normalisations: space.normalisations=[dynamic_tanh]" in out
    assert "parameter alpha        0.5" in out and "per channel" not in out
    assert main(["activations", "layer_norm"]) == 0
    assert "no: it is what a model has already" in capsys.readouterr().out


def test_an_alias_is_shown_by_its_name(capsys):
    alias = next(row for row in registry.all() if row.aliases)
    assert main(["activations", alias.aliases[0]]) == 0
    assert capsys.readouterr().out.split()[1] == alias.name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["geluu"], "unknown activation 'geluu': did you mean gelu"),
        (["gelu", "relu"], "activations takes one name at most, got: gelu relu"),
        (["--plan"], "activations takes one name at most"),
    ],
)
def test_mistakes(capsys, arguments, message):
    assert main(["activations", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_help(capsys):
    assert main(["activations", "--help"]) == 0
    assert "activations NAME" in capsys.readouterr().out
