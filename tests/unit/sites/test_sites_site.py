"""Sites as a sequence, by name, and as a table."""

import pytest

from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError
from autoact.sites import Site, Sites, Unreplaceable
from autoact.sites.site import OUTPUT


def make() -> Sites:
    return Sites(
        [
            Site("net.0.act", Choice("relu"), shape=(2, 8), channels=8, uses=1, shared_as=("again",)),
            Site("net.1.act", Choice.parse("leaky_relu(negative_slope=0.2)"), uses=2, shape=(2, 3, 4), order=1),
            Site("head", Choice("sigmoid"), kept=OUTPUT, order=2),
        ],
        [Unreplaceable("rnn", "recurrent", "LSTM holds its activations inside a fused kernel")],
    )


def test_is_a_sequence_in_order() -> None:
    sites = make()
    assert len(sites) == 3
    assert [site.name for site in sites] == list(sites.names) == ["net.0.act", "net.1.act", "head"]
    assert sites[-1].name == "head"
    assert [site.name for site in sites[:2]] == ["net.0.act", "net.1.act"]
    assert next(reversed(sites)).name == "head"


def test_looks_up_by_name_and_by_alias() -> None:
    sites = make()
    assert sites["again"] is sites["net.0.act"] is sites[0]
    assert "again" in sites
    assert sites[1] in sites
    assert "rnn" not in sites


def test_unknown_name_gives_the_nearest() -> None:
    with pytest.raises(AutoactError, match=r"unknown site 'net.0.actt': did you mean net.0.act"):
        make()["net.0.actt"]


def test_unreplaceable_name_gives_its_reason() -> None:
    with pytest.raises(AutoactError, match="fused kernel"):
        make()["rnn"]


def test_output_is_not_searchable() -> None:
    assert [site.name for site in make().searchable] == ["net.0.act", "net.1.act"]


def test_sites_are_frozen() -> None:
    with pytest.raises(AttributeError):
        make()[0].name = "other"  # type: ignore[misc]


def test_table_shows_every_fact() -> None:
    lines = str(make()).splitlines()
    assert lines[0].split() == ["site", "activation", "shape", "calls", "note"]
    assert lines[1].split() == ["net.0.act", "relu", "2x8", "1", "also", "again"]
    assert lines[2].split() == ["net.1.act", "leaky_relu(negative_slope=0.2)", "2x3x4", "2"]
    assert lines[3].split() == ["head", "sigmoid", "not", "run", "-", "output:", "not", "searched"]
    assert lines[-1].strip() == "rnn: LSTM holds its activations inside a fused kernel"
    assert len({line.index(word) for line, word in zip(lines[:4], ("shape", "2x8", "2x3", "not r"), strict=True)}) == 1


def test_table_of_nothing_says_so() -> None:
    assert str(Sites([])) == "No site was found."
