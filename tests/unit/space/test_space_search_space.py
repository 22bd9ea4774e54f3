"""The search space: which activation where, with which settings."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import Any

import pytest
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution
from torch import nn

from autoact.core.assignment import Assignment, Choice
from autoact.core.errors import AutoactError
from autoact.core.trial import Candidate
from autoact.sites import Site, Sites, Unreplaceable, find_sites
from autoact.space.build_space import build_space
from autoact.space.search_space import SearchSpace
from autoact.space.settings import SpaceSettings

CONFIGURED = {"learning_rate": 0.003, "weight_decay": 0.02}


def sites_of(**current: str) -> Sites:
    """Sites by name; dots are written as two underscores."""
    return Sites([Site(name.replace("__", "."), Choice.parse(choice)) for name, choice in current.items()])


DEEP = sites_of(encoder__0__act="relu", encoder__0__gate="relu", encoder__1__act="relu", head__act="relu", act="relu")


def space_of(sites: Sites = DEEP, candidates: tuple[str, ...] = ("gelu", "tanh"), **settings: object) -> SearchSpace:
    return build_space(sites, SpaceSettings(candidates=list(candidates), **settings), CONFIGURED)  # type: ignore[arg-type]


def names(space: SearchSpace) -> list[str]:
    return [str(choice) for choice in space.candidates]


def test_by_site_every_site_is_a_dimension():
    space = space_of(granularity="site")
    assert space.groups == {name: (name,) for name in DEEP.names}
    assert space.size() == 3**5


def test_by_block_sites_up_to_the_first_index_go_together():
    space = space_of(granularity="block")
    assert space.groups == {
        "encoder.0": ("encoder.0.act", "encoder.0.gate"),
        "encoder.1": ("encoder.1.act",),
        "head": ("head.act",),
        "act": ("act",),
    }


def test_by_model_there_is_one_dimension():
    space = space_of(granularity="model")
    assert space.groups == {"activation": DEEP.names}
    assert space.size() == 3
    assignment = space.point({"activation": "tanh"}).assignment
    assert assignment == Assignment(dict.fromkeys(DEEP.names, "tanh"))


def test_an_unknown_granularity_names_the_nearest():
    with pytest.raises(AutoactError, match="unknown granularity 'sites': did you mean site"):
        space_of(granularity="sites")


@pytest.mark.parametrize("granularity", ["block", "model"])
def test_sites_that_differ_today_cannot_share_a_dimension(granularity):
    mixed = sites_of(layers__0__a="relu", layers__0__b="tanh")
    told = r"\(relu at layers\.0\.a; tanh at layers\.0\.b\).*space\.exclude=\['layers\.0\.b'\]"
    with pytest.raises(AutoactError, match=f"hold different activations today {told}"):
        space_of(mixed, granularity=granularity)
    alike = sites_of(layers__0__a="elu", layers__0__b="celu")  # one function, two names
    assert space_of(alike, granularity=granularity).size() == 3


@pytest.mark.parametrize(
    ("include", "exclude", "left"),
    [
        (["encoder.*"], [], ["encoder.0.act", "encoder.0.gate", "encoder.1.act"]),
        (["encoder.0.*", "act"], [], ["encoder.0.act", "encoder.0.gate", "act"]),
        (["*"], ["*.gate", "act"], ["encoder.0.act", "encoder.1.act", "head.act"]),
        (["encoder.*"], ["encoder.0.*"], ["encoder.1.act"]),
    ],
)
def test_globs_choose_sites(include, exclude, left):
    space = space_of(include=include, exclude=exclude)
    assert list(space.baseline) == left
    assert list(space.groups) == left


@pytest.mark.parametrize("setting", ["include", "exclude"])
def test_a_glob_that_meets_nothing_is_a_mistake(setting):
    with pytest.raises(AutoactError, match=r"unknown site 'encoder\.2\.act': did you mean encoder\.1\.act"):
        space_of(**{setting: ["encoder.2.act"]})


def test_leaving_no_site_is_a_mistake_in_one_line():
    with pytest.raises(AutoactError, match=r"leaves no site\. Sites: encoder\.0\.act") as caught:
        space_of(exclude=["*"])
    assert "\n" not in str(caught.value)


def test_what_to_leave_out_of_a_shared_dimension_can_be_pasted():
    model = nn.Sequential(
        nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)
    )
    sites = find_sites(model, torch.zeros(2, 2))
    with pytest.raises(AutoactError, match=r"space\.exclude=\['3'\] leaves out those that differ"):
        space_of(sites, granularity="model")
    assert space_of(sites, granularity="model", exclude=["3"]).groups == {"activation": ("1", "5")}


def test_what_is_kept_is_told_where_nothing_else_is_there():
    model = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())
    with pytest.raises(AutoactError, match=r"1 \(sigmoid\): kept, .*; space\.include=\['1'\] searches it"):
        space_of(find_sites(model, torch.zeros(2, 2)))
    with pytest.raises(AutoactError, match="It calls none that autoact knows"):
        space_of(find_sites(nn.Linear(2, 1), torch.zeros(2, 2)))


def test_a_model_without_sites_says_why_in_one_line():
    none = Sites([], [Unreplaceable("lstm", "recurrent", "its gates are fixed"), Unreplaceable("", "x", "no")])
    with pytest.raises(AutoactError) as caught:
        space_of(none)
    assert str(caught.value) == (
        "no activation can be searched in this model. lstm: its gates are fixed; the model: no"
    )


def test_the_models_output_is_not_searched():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1), nn.Sigmoid())
    space = space_of(find_sites(model, __import__("torch").zeros(2, 2)))
    assert list(space.groups) == ["1"]


def test_functional_duplicates_are_merged():
    space = space_of(candidates=("silu", "swish", "gelu", "celu", "elu", "silu"))
    assert names(space) == ["silu", "gelu", "celu"]
    assert space.choices_of("act") == ["relu", "silu", "gelu", "celu"]


def test_the_current_activation_is_on_offer_first_and_once():
    sites = sites_of(a="celu", b="relu")
    space = space_of(sites, candidates=("elu", "relu", "leaky_relu(negative_slope=0.0)"))
    assert space.choices_of("a") == ["celu", "relu"]
    assert space.choices_of("b") == ["relu", "elu"]


def test_an_activation_goes_by_the_name_on_offer():
    space = space_of(sites_of(a="celu", b="relu"), candidates=("elu",))
    params = space.point_of(Candidate(Assignment({"a": "elu", "b": "elu"}))).params
    assert (params["a"], params["b"]) == ("celu", "elu")
    assert space.point_of(Candidate(Assignment({"a": "ELU", "b": "relu"}))).params["a"] == "celu"
    with pytest.raises(AutoactError, match="unknown activation at b 'gelu'"):
        space.point_of(Candidate(Assignment({"a": "elu", "b": "gelu"})))


def test_parameters_tell_activations_apart():
    space = space_of(candidates=("leaky_relu(negative_slope=0.2)", "leaky_relu(negative_slope=0.3)"))
    assert space.size() == 3**5


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ((), "space.candidates is empty"),
        (("geluu",), "unknown activation 'geluu': did you mean gelu"),
        (("step",), "step cannot be searched"),
        (("gelu", "step"), "step cannot be searched"),
        (("identity",), "makes a linear network"),
        (("identity", "leaky_relu(negative_slope=1)"), "makes a linear network"),
    ],
)
def test_candidates_that_cannot_be_searched(candidates, message):
    with pytest.raises(AutoactError, match=message.replace("(", r"\(")):
        space_of(candidates=candidates)


def test_identity_everywhere_is_refused_whatever_its_name():
    space = space_of(sites_of(a="relu", b="relu"), candidates=("identity", "tanh"))
    assert not space.allowed(Assignment({"a": "identity", "b": "identity"}))
    assert not space.allowed(Assignment({"a": "identity", "b": "leaky_relu(negative_slope=1)"}))
    assert space.allowed(Assignment({"a": "identity", "b": "relu"}))
    assert [assignment.summary() for assignment in space.uniform()] == ["tanh"]


def test_uniform_assignments_change_something():
    space = space_of(sites_of(a="relu", b="relu"), candidates=("relu", "gelu", "tanh"))
    assert [assignment.summary() for assignment in space.uniform()] == ["gelu", "tanh"]
    mixed = space_of(sites_of(a="relu", b="gelu"), candidates=("relu", "gelu"))
    assert [assignment.summary() for assignment in mixed.uniform()] == ["relu", "gelu"]


@pytest.mark.parametrize("granularity", ["model", "block", "site"])
def test_parameters_and_assignments_translate_into_each_other(granularity):
    space = space_of(granularity=granularity)
    for combination in itertools.islice(itertools.product(*map(space.choices_of, space.groups)), 0, None, 7):
        params = dict(zip(space.groups, combination, strict=True)) | {"learning_rate": 0.01, "weight_decay": 1e-3}
        point = space.point(params)
        assert list(point.assignment) == list(DEEP.names)
        assert point.settings == {"learning_rate": 0.01, "weight_decay": 1e-3}
        back = space.point_of(Candidate(point.assignment, point.settings))
        assert back == point and hash(back) == hash(point)
        assert back.params == params


def test_points_of_equal_functions_are_equal_and_carry_their_costs():
    calls = []

    def costs(assignment):
        calls.append(assignment)
        return {"latency": float(len(calls))}

    space = space_of(sites_of(a="celu", b="relu"), candidates=("elu",), weight_decay=[]).with_costs(costs)
    by_name = space.point_of(Candidate(Assignment({"a": "elu", "b": "relu"}), {"learning_rate": 0.01}))
    offered = space.point({"a": "celu", "b": "relu", "learning_rate": 0.01})
    assert by_name == offered
    assert by_name != space.point({"a": "celu", "b": "relu", "learning_rate": 0.02})
    assert by_name != space.point({"a": "celu", "b": "elu", "learning_rate": 0.01})
    assert offered.costs == space.point({"a": "celu", "b": "relu", "learning_rate": 0.05}).costs == {"latency": 2.0}
    assert len(calls) == 3, "once for each assignment, whatever the settings"


def test_settings_that_are_not_given_stay_as_configured():
    space = space_of()
    assert space.point_of(Candidate(space.baseline)).params == {**dict.fromkeys(DEEP.names, "relu"), **CONFIGURED}
    assert space.configured_settings() == CONFIGURED


@pytest.mark.parametrize("rate", [3e-4, 0.1, 1 / 3, 1e-5, 0.007])
@pytest.mark.parametrize("factors", [[0.1, 10.0], [1.0, 10.0], [0.1, 1.0], [1.0, 1.0]])
@pytest.mark.parametrize("decay", [0.0, 1e-2, 0.05, 1 / 3])
def test_the_configured_settings_lie_in_their_dimensions(rate, factors, decay):
    configured = {"learning_rate": rate, "weight_decay": decay}
    space = build_space(DEEP, SpaceSettings(candidates=["gelu"], learning_rate=factors), configured)
    rates, decays = space.distributions()["learning_rate"], space.distributions()["weight_decay"]
    assert isinstance(rates, FloatDistribution)
    assert isinstance(decays, CategoricalDistribution)
    assert rates.low <= rate <= rates.high
    assert decay in decays.choices
    assert rates.low == pytest.approx(rate * factors[0])
    assert rates.high == pytest.approx(rate * factors[1])


def test_settings_can_be_left_out():
    space = space_of(learning_rate=[], weight_decay=[])
    assert not space.setting_names
    assert list(space.distributions()) == list(DEEP.names)
    assert space.configured_settings() == {}
    params = space.point_of(Candidate(space.baseline, CONFIGURED)).params
    assert space.point(params).settings == {}
    only_rate = space_of(weight_decay=[])
    assert only_rate.setting_names == ("learning_rate",)
    assert set(only_rate.configured_settings()) == {"learning_rate"}


def test_an_optimiser_without_weight_decay_has_no_such_dimension():
    space = build_space(DEEP, SpaceSettings(candidates=["gelu"]), {"learning_rate": 0.1})
    assert "weight_decay" not in space.distributions()


def dropped(values: list[float], configured: float | None = 0.1) -> SearchSpace:
    found = CONFIGURED if configured is None else {**CONFIGURED, "dropout": configured}
    return build_space(DEEP, SpaceSettings(candidates=["gelu"], dropout=values), found)


def test_a_dropout_is_a_dimension_where_it_is_asked_for():
    space = dropped([0.3, 0])
    assert space.distributions()["dropout"] == CategoricalDistribution((0.0, 0.1, 0.3))
    assert space.setting_names == ("learning_rate", "weight_decay", "dropout")
    assert space.configured_settings() == {**CONFIGURED, "dropout": 0.1}
    params = {**space.point_of(Candidate(space.baseline, {"dropout": 0.3})).params}
    assert space.point(params).settings == {**CONFIGURED, "dropout": 0.3}


def test_without_it_a_space_is_described_as_ever():
    assert "dropout" not in dropped([]).distributions()
    assert dropped([]).describe() == dropped([], None).describe()
    assert "dropout" not in dropped([]).describe()
    assert dropped([0.3]).describe() != dropped([0.2]).describe()


def test_a_dropout_that_cannot_act_is_refused():
    with pytest.raises(AutoactError, match=r"^space\.dropout=\[0\.3\] has no effect: the network has no nn\.Dropout"):
        dropped([0.3], None)
    with pytest.raises(AutoactError, match=r"^space\.dropout=\[0\.1\] has no effect: it is the configured dropout"):
        dropped([0.1])


@pytest.mark.parametrize("factors", [[0.1], [2.0, 10.0], [0.1, 0.5], [0.0, 10.0], [10.0, 0.1], [-1.0, 2.0]])
def test_learning_rate_factors_surround_one(factors):
    with pytest.raises(AutoactError, match="multiples of the configured rate"):
        space_of(learning_rate=factors)


@pytest.mark.parametrize(
    "given",
    [
        {"granularity": "layer"},
        {"learning_rate": [10.0, 0.1]},
        {"learning_rate": [0.1]},
        {"weight_decay": [-1.0]},
        {"dropout": [1.0]},
        {"dropout": [-0.1]},
    ],
)
def test_settings_are_refused_where_they_are_made(given: dict[str, Any]) -> None:
    with pytest.raises(AutoactError, match=f"{next(iter(given))}.*{re.escape(str(next(iter(given.values()))))}"):
        SpaceSettings(**given)
    with pytest.raises(AutoactError, match=next(iter(given))):
        replace(SpaceSettings(), **given)


def test_negative_weight_decay_is_refused():
    with pytest.raises(AutoactError, match="negative"):
        space_of(weight_decay=[0.0, -0.1])


def test_keys_are_equal_for_equal_functions():
    space = space_of(sites_of(a="relu", b="relu"), candidates=("elu",))
    assert space.key(Assignment({"a": "celu", "b": "relu"})) == space.key(Assignment({"b": "relu", "a": "elu"}))
    assert space.key(Assignment({"a": "elu", "b": "relu"})) != space.key(Assignment({"a": "relu", "b": "elu"}))


def test_the_description_tells_spaces_apart():
    described = [
        space_of().describe(),
        space_of(granularity="model").describe(),
        space_of(candidates=("gelu",)).describe(),
        space_of(include=["act"]).describe(),
        space_of(learning_rate=[0.5, 2.0]).describe(),
        space_of(weight_decay=[0.0]).describe(),
    ]
    assert all(a != b for a, b in itertools.combinations(described, 2))
    assert space_of().describe() == described[0]
