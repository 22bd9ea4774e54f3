"""What the user imports: the chosen assignments with their evidence, as plain YAML that cannot run code."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from autoact.core.assignment import Assignment, Choice
from autoact.core.errors import AutoactError, unknown
from autoact.core.value_holders import PlainData
from autoact.recommendation.checksums import check_digests, digests, sha256_of
from autoact.recommendation.consistency import check_consistent
from autoact.recommendation.safe_text import label
from autoact.recommendation.safe_yaml import plain_data
from autoact.recommendation.schema import FORMAT, KIND, check

if TYPE_CHECKING:  # torch is imported when a model is given
    from torch import nn

# Which policy is meant where none is named.
PREFERRED = ("balanced", "quality", "economy")
# What a policy's plain data leave out where it says nothing: files of earlier releases keep their digests.
_SILENT = {"threshold": None, "ensemble": 0}


@dataclass(frozen=True)
class Policy:
    """One policy's outcome.

    Attributes:
        recommend: true: the assignment replaces the baseline's; false: it is the baseline's own (keep the baseline).
        assignment: what to use.
        settings: training settings (``learning_rate``, ``weight_decay``, ``dropout``) to train it with; one that is
            missing is as configured.
        epochs: median best epoch of the fresh seeds.
        reason: why, in one sentence.
        evidence: metric, interval, latency, cost and ratios, as plain data.
        threshold: of two classes: median decision threshold of the fresh seeds, each fitted on validation rows; None
            where none was fitted (``task.threshold``).
        ensemble: so many trainings are averaged; 0: a single one. Their activations may be the baseline's own.
    """

    recommend: bool
    assignment: Assignment
    settings: Mapping[str, float]
    epochs: int
    reason: str
    evidence: PlainData = field(default_factory=dict)
    threshold: float | None = None
    ensemble: int = 0

    def to_dict(self) -> PlainData:
        """Plain data."""
        nested = {"assignment": self.assignment.to_dict(), "settings": dict(self.settings)}
        plain = {name: value for name, value in vars(self).items() if name not in _SILENT or value != _SILENT[name]}
        return {**plain, **nested, "evidence": dict(self.evidence)}


@dataclass(frozen=True)
class Recommendation:
    """The result of a search, to import into training.

    Attributes:
        task: the task's name; quotes, backslashes and control characters in it become ``_``, and it ends after 100.
        created: ISO time, UTC.
        verdict: in words.
        metric: name, unit and mode of the quality.
        policies: ``quality``, ``balanced``, ``economy`` where they exist; ``ensemble`` where one is recommended.
        baseline: the tuned baseline, in the same form.
        sites: site name -> current activation, shape, channels and channel dimension, as the search saw the model.
        rescale: whether initial weights were changed by each activation's rule.
        initialisation: activation -> name of the rule by which the weights around it were drawn; empty where they were
            not, and in files of versions that did not note it.
        activation_rate: factor of the learning rate of the weights that activations bring along, which then have no
            weight decay; 1: they train as all others.
        simulated: whether the data were simulated.
        about: hardware, data, packages, study: plain data for people.
        not_searched: names of places that look like sites and were left alone: the model's output.
        source: where it was loaded from; not part of the file.

    Example:
        >>> policy = Policy(True, Assignment({"1": "tanh"}), {}, 12, "better by ...")
        >>> sites = {"1": {"current": "relu", "shape": [2, 8], "channels": 8, "channel_dim": -1}}
        >>> rec = Recommendation("demo", "2026-01-01T00:00:00Z", "...", {}, {"quality": policy}, policy, sites)
        >>> from torch import nn
        >>> rec.apply(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)))[1]
        ActivationModule(tanh)
    """

    task: str
    created: str
    verdict: str
    metric: PlainData
    policies: Mapping[str, Policy]
    baseline: Policy
    sites: Mapping[str, PlainData]
    rescale: bool = True
    simulated: bool = False
    about: PlainData = field(default_factory=dict)
    not_searched: tuple[str, ...] = ()
    source: PlainData = field(default_factory=dict, compare=False)
    activation_rate: float = 1.0
    initialisation: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Make a label of the task's name, so that what is saved can be read."""
        object.__setattr__(self, "task", label(self.task))

    @property
    def digest(self) -> str:
        """sha256 of all that the file says: names this very recommendation wherever it is used."""
        return sha256_of(self._content())

    def named(self, policy: str | None = None) -> tuple[str, Policy]:
        """The policy of that name with its name; see ``policy``."""
        chosen = policy or self._preferred()
        if chosen == "baseline":
            return chosen, self.baseline
        if chosen not in self.policies:
            raise unknown("policy", chosen, [*self.policies, "baseline"])
        return chosen, self.policies[chosen]

    def _preferred(self) -> str:
        """The first that recommends something; where none does, the first there is."""
        there = [name for name in PREFERRED if name in self.policies] or list(self.policies)
        return next((name for name in there if self.policies[name].recommend), there[0])

    def policy(self, name: str | None = None) -> Policy:
        """The policy of that name, or ``baseline``.

        Without a name: the first of ``balanced``, ``quality`` and ``economy`` that recommends something; where none
        does, the first that there is, which then keeps the baseline.

        Raises:
            AutoactError: no such policy.
        """
        return self.named(name)[1]

    def rate_of_weights(self, policy: Policy) -> str:
        """How the weights that a policy's activations bring along are trained; empty where all train alike."""
        from autoact.activations import get

        if self.activation_rate == 1.0 or not any(get(choice.name).learnable for choice in policy.assignment.values()):
            return ""
        return f"{self.activation_rate:g} times the learning rate, and no weight decay, for weights of activations"

    def drawn_otherwise(self) -> str:
        """What is said where a training draws initial weights by other rules than the search did; empty: by the same.

        Example:
            >>> policy = Policy(True, Assignment({"1": "tanh"}), {}, 12, "better by ...")
            >>> rec = Recommendation("demo", "2026-01-01T00:00:00Z", "...", {}, {"quality": policy}, policy, {})
            >>> rec.drawn_otherwise()
            'the recommendation does not note by which rules its search drew initial weights: ...'
        """
        from autoact.activations.initialisation import other_rules

        if not self.rescale:
            return ""
        advice = (
            "a training may end elsewhere than the file says; python -m autoact confirm recommendation=FILE, with the "
            "task and the data, tells what it is worth by the rules of today"
        )
        if not self.initialisation:
            return (
                "the recommendation does not note by which rules its search drew initial weights: it was written by an "
                f"earlier version of autoact, and {advice}"
            )
        others = ", ".join(other_rules(self.initialisation))
        return f"weights around {others} are drawn by other rules than in the search: {advice}" if others else ""

    def apply(
        self,
        model: nn.Module,
        policy: str | None = None,
        *,
        strict: bool = True,
        rescale: bool = False,
        example_input: object = None,
    ) -> nn.Module:
        """A copy of ``model`` with a policy's assignment; where it says *keep the baseline*, an unchanged copy.

        Args:
            model: the model that the search saw, or one with the same sites.
            policy: see ``policy``.
            strict: refuse a model that differs from what the search saw; false: apply what fits, and name the rest in
                a ``UserWarning``.
            rescale: scale the weights of a model that is about to be trained from scratch, as the search did; needs an
                ``example_input``. Trained weights stay as they are by default.
            example_input: what ``model(example_input)`` accepts; needed for gated activations.

        Raises:
            AutoactError: sites that are missing, changed (they hold another activation than the search saw) or extra
                (the search did not see them), all in one message; or no site at all would be replaced although the
                policy recommends it.
        """
        from autoact.sites.tracing.torch_transformer import copied_model

        return self.apply_(
            copied_model(model), policy, strict=strict, rescale=rescale, example_input=example_input, _depth=3
        )

    def apply_(
        self,
        model: nn.Module,
        policy: str | None = None,
        *,
        strict: bool = True,
        rescale: bool = False,
        example_input: object = None,
        _depth: int = 2,
    ) -> nn.Module:
        """As ``apply``, in place; a model that is refused stays as it was."""
        from autoact.activations.registry import any_normalisation
        from autoact.recommendation.site_matching import as_searched, changed, compare
        from autoact.sites import apply_, find_sites

        name, chosen = self.named(policy)
        searched = any_normalisation(str(site["current"]) for site in self.sites.values())
        found = find_sites(model, example_input, normalisations=searched)
        fit = compare(self.sites, self.not_searched, found)
        if fit.problems and strict:
            raise AutoactError(f"the recommendation for {self.task} does not fit this model: {'; '.join(fit.problems)}")
        fitting = {site: choice for site, choice in chosen.assignment.items() if site in fit.fitting}
        if not fitting or (not changed(self.sites, fitting) and changed(self.sites, chosen.assignment)):
            raise AutoactError(
                f"no site of this model would be replaced (policy {name}): {'; '.join(fit.problems) or 'none is named'}"
            )
        if fit.problems:
            warnings.warn(
                f"the recommendation for {self.task} was applied to {len(fitting)} of {len(chosen.assignment)} sites: "
                f"{'; '.join(fit.problems)}",
                UserWarning,
                stacklevel=_depth,
            )
        if not changed(self.sites, fitting):
            return model
        if rescale and (told := self.drawn_otherwise()):
            warnings.warn(told, UserWarning, stacklevel=_depth)
        sites = as_searched(self.sites, found) if example_input is None else None
        return apply_(model, fitting, example_input=example_input, sites=sites, rescale=rescale)

    def to_dict(self) -> PlainData:
        """Plain data, in the order of the file."""
        content = self._content()
        return {**content, "digest": digests(content)}

    def _content(self) -> PlainData:
        return {
            "kind": KIND,
            "format": FORMAT,
            "task": self.task,
            "created": self.created,
            "simulated": self.simulated,
            "verdict": self.verdict,
            "metric": dict(self.metric),
            "policies": {name: policy.to_dict() for name, policy in self.policies.items()},
            "baseline": self.baseline.to_dict(),
            "rescale": self.rescale,
            # Left out where it says nothing: files of earlier releases keep their digests.
            **({} if self.activation_rate == 1.0 else {"activation_rate": self.activation_rate}),
            **({"initialisation": dict(self.initialisation)} if self.initialisation else {}),
            "sites": {name: dict(site) for name, site in self.sites.items()},
            "not_searched": list(self.not_searched),
            "about": dict(self.about),
        }

    def to_yaml(self) -> str:
        """The text of the file."""
        return yaml.dump(self.to_dict(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)

    def save(self, path: str | Path) -> Path:
        """Write the YAML file; returns its path.

        Raises:
            AutoactError: the folder cannot be written.
        """
        file, text = Path(path), self.to_yaml()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise AutoactError(f"cannot write {str(file)!r}: {error.strerror}") from error
        return file

    @classmethod
    def from_dict(cls, data: PlainData, source: str = "recommendation") -> Recommendation:
        """The inverse of ``to_dict``, checked.

        Raises:
            AutoactError: another kind of file, another format version, a missing, unknown or ill-typed field, an
                edited part, parts that contradict each other.
        """
        check(data, source)
        policies = {n: _read_policy(p, f"{source}: policies.{n}") for n, p in data["policies"].items()}
        baseline = _read_policy(data["baseline"], f"{source}: baseline")
        check_digests(data, source)
        check_consistent(data, source)
        names = ("task", "created", "verdict", "metric", "sites", "rescale", "simulated", "about")
        plain = {name: data[name] for name in names}
        plain["activation_rate"] = float(data.get("activation_rate", 1.0))
        plain["initialisation"] = dict(data.get("initialisation", {}))
        return cls(**plain, policies=policies, baseline=baseline, not_searched=tuple(data["not_searched"]))


class _Plain(yaml.SafeDumper):
    """Writes equal values out in full, without anchors: people read this file."""

    def ignore_aliases(self, data: object) -> bool:
        """No value is written as a reference to another."""
        return True


def _read_policy(data: PlainData, where: str) -> Policy:
    """A policy from plain data that follows the schema.

    Raises:
        AutoactError: an activation that cannot be read, or a setting that is not finite.
    """
    for name, value in data["settings"].items():
        if not math.isfinite(value):
            raise AutoactError(f"{where}: the setting {name!r} is {value}, not a finite number")
    return Policy(
        recommend=data["recommend"],
        assignment=Assignment({site: Choice.parse(choice) for site, choice in data["assignment"].items()}),
        settings={name: float(value) for name, value in data["settings"].items()},
        epochs=int(data["epochs"]),
        reason=data["reason"],
        evidence=data["evidence"],
        threshold=data.get("threshold"),
        ensemble=int(data.get("ensemble", 0)),
    )


def load_recommendation(path: str | Path) -> Recommendation:
    """Read ``recommended.yaml``.

    Raises:
        AutoactError: no such file, not YAML, or not a recommendation.
    """
    file = Path(path)
    return replace(Recommendation.from_dict(plain_data(file), str(file)), source={"uri": str(path)})
