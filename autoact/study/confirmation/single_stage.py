"""The challenger of a search that has no time for a first stage: picked by estimates, claimed by the second stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autoact.core.trial import TrialRecord
from autoact.space.search_space import SearchSpace
from autoact.study.confirmation.choose_on_validation import StageOneChoice
from autoact.study.selection import Selection
from autoact.study.tuned_baselines import Edge, baseline_edge, thinner, with_settings_of

HOW = "the challenger was picked by estimates of single trainings: the minutes had no time for fresh seeds to choose"


def chosen_at_once(selection: Selection, records: Sequence[TrialRecord], space: SearchSpace) -> StageOneChoice:
    """What the claim trains: the baseline as configured and tuned, the best challenger, and the baseline beside it.

    No fresh seeds tell here whether a better baseline lies beyond what was tried: where its best learning rate is the
    largest or the smallest one, nothing is claimed.
    """
    policies = {"quality": selection.policies["quality"]}
    twins = with_settings_of(list(policies.values()), records, selection.configured, space)
    beside = {policy: twins[record.number] for policy, record in policies.items() if record.number in twins}
    doubts = thinner(replace(selection, policies=policies), records, [], space)
    edge = baseline_edge(selection.tuned, records, space)
    if edge is not None:
        doubts = dict.fromkeys(policies, _doubt(edge))
    doubts = {policy: why for policy, why in doubts.items() if policy in beside}
    return StageOneChoice(replace(selection, uniform=None, policies=policies, twins=beside, doubts=doubts), {}, HOW)


def _doubt(edge: Edge) -> str:
    side = "largest" if edge.upper else "smallest"
    return (
        f"the baseline did best with a learning rate of {edge.rate:.3g}, the {side} that was tried, and the minutes "
        "had no time to try others: the same command with more search.minutes does"
    )
