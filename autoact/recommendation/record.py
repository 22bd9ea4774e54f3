"""What the user imports: the chosen assignments with their evidence, as plain YAML that cannot run code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from autoact.core.choice import Assignment, Choice
from autoact.core.errors import AutoactError, nearest, unknown

if TYPE_CHECKING:  # torch is imported when a model is given
    from torch import nn

KIND, FORMAT = "autoact-recommendation", 1


@dataclass(frozen=True)
class Policy:
    """One policy's outcome.

    Attributes:
        recommend: true: the assignment replaces the baseline's; false: it is the baseline's own (keep the baseline).
        assignment: what to use.
        settings: training settings (``learning_rate``, ``weight_decay``) to train it with.
        epochs: median best epoch of the fresh seeds.
        reason: why, in one sentence.
        evidence: metric, interval, latency, cost and ratios, as plain data.
    """

    recommend: bool
    assignment: Assignment
    settings: Mapping[str, float]
    epochs: int
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "recommend": self.recommend,
            "assignment": self.assignment.to_dict(),
            "settings": dict(self.settings),
            "epochs": self.epochs,
            "reason": self.reason,
            "evidence": dict(self.evidence),
        }


@dataclass(frozen=True)
class Recommendation:
    """The result of a search, to import into training.

    Attributes:
        task: the task's name.
        created: ISO time, UTC.
        verdict: in words.
        metric: name, unit and mode of the quality.
        policies: ``quality``, ``balanced``, ``economy`` where they exist.
        baseline: the tuned baseline, in the same form.
        sites: site name -> current activation, shape, channels and channel dimension, as the search saw the model.
        rescale: whether initial weights were scaled to each activation's gain.
        simulated: whether the data were simulated.
        about: hardware, data, packages, study: plain data for people.

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
    metric: Mapping[str, Any]
    policies: Mapping[str, Policy]
    baseline: Policy
    sites: Mapping[str, Mapping[str, Any]]
    rescale: bool = True
    simulated: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)

    def policy(self, name: str | None = None) -> Policy:
        """The policy of that name; ``balanced`` where there is one, else ``quality``, unless a name is given.

        Raises:
            AutoactError: no such policy.
        """
        chosen = name or ("balanced" if "balanced" in self.policies else "quality")
        if chosen == "baseline":
            return self.baseline
        if chosen not in self.policies:
            raise unknown("policy", chosen, [*self.policies, "baseline"])
        return self.policies[chosen]

    def apply(
        self, model: nn.Module, policy: str | None = None, *, rescale: bool = False, example_input: Any = None
    ) -> nn.Module:
        """A copy of ``model`` with a policy's assignment; where it says *keep the baseline*, an unchanged copy.

        Args:
            model: the model that the search saw, or one with the same sites.
            policy: see ``policy``.
            rescale: scale the weights of a model that is about to be trained from scratch, as the search did; needs an
                ``example_input``. Trained weights stay as they are by default.
            example_input: what ``model(example_input)`` accepts.

        Raises:
            AutoactError: sites that are missing, or hold another activation than the search saw: each is named.
        """
        from autoact.sites import apply, find_sites

        chosen = self.policy(policy)
        found = find_sites(model, example_input)
        self._check(found)
        sites = self._as_seen(found) if example_input is None else None
        return apply(model, chosen.assignment, example_input=example_input, sites=sites, rescale=rescale)

    def _check(self, found: Any) -> None:
        """Name every site that does not fit."""
        from autoact.activations import canonical, fingerprint

        present = {name for site in found for name in site.names}
        problems = []
        for name, site in self.sites.items():
            if name not in present:
                close = nearest(name, present)
                problems.append(f"missing {name!r}" + (f" (nearest: {', '.join(close)})" if close else ""))
            elif fingerprint(found[name].current) != fingerprint(canonical(str(site["current"]))):
                problems.append(f"{name!r} holds {found[name].current}, the search saw {site['current']}")
        if problems:
            raise AutoactError(f"the recommendation for {self.task} does not fit this model: {'; '.join(problems)}")

    def _as_seen(self, found: Any) -> Any:
        """The model's sites with the shapes that the search saw, which learnable activations need."""
        from dataclasses import replace

        from autoact.sites import Sites

        rows = []
        for site in found:
            seen = self.sites.get(site.name)
            if seen is not None:
                shape = tuple(seen["shape"]) if seen["shape"] else None
                site = replace(site, shape=shape, channels=seen["channels"], channel_dim=seen["channel_dim"])
            rows.append(site)
        return Sites(rows, found.unreplaceable)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, in the order of the file."""
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
            "sites": {name: dict(site) for name, site in self.sites.items()},
            "about": dict(self.about),
        }

    def save(self, path: str | Path) -> Path:
        """Write the YAML file; returns its path.

        Raises:
            AutoactError: the folder cannot be written.
        """
        file = Path(path)
        text = yaml.dump(self.to_dict(), Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise AutoactError(f"cannot write {str(file)!r}: {error.strerror}") from error
        return file

    @classmethod
    def from_dict(cls, data: Any, source: str = "recommendation") -> Recommendation:
        """The inverse of ``to_dict``, checked.

        Raises:
            AutoactError: another kind of file, another format version, a missing, unknown or ill-typed field.
        """
        if not isinstance(data, Mapping) or data.get("kind") != KIND:
            raise AutoactError(f"{source} is not a recommendation of autoact (kind: {KIND} is missing)")
        if data.get("format") != FORMAT:
            raise AutoactError(f"{source} has format {data.get('format')!r}; this version of autoact reads {FORMAT}")
        _check_fields(data, _FIELDS, source)
        for name, site in data["sites"].items():
            _check_fields(site, _SITE_FIELDS, f"{source}: sites.{name}")
        policies = {n: _read_policy(p, f"{source}: policies.{n}") for n, p in data["policies"].items()}
        if not policies:
            raise AutoactError(f"{source}: policies is empty")
        return cls(
            task=data["task"],
            created=data["created"],
            verdict=data["verdict"],
            metric=data["metric"],
            policies=policies,
            baseline=_read_policy(data["baseline"], f"{source}: baseline"),
            sites=data["sites"],
            rescale=data["rescale"],
            simulated=data["simulated"],
            about=data["about"],
        )


class _Plain(yaml.SafeDumper):
    """Writes equal values out in full, without anchors: people read this file."""

    def ignore_aliases(self, data: Any) -> bool:
        """No value is written as a reference to another."""
        return True


_FIELDS: dict[str, type] = {
    "kind": str,
    "format": int,
    "task": str,
    "created": str,
    "simulated": bool,
    "verdict": str,
    "metric": dict,
    "policies": dict,
    "baseline": dict,
    "rescale": bool,
    "sites": dict,
    "about": dict,
}
_POLICY_FIELDS: dict[str, type] = {
    "recommend": bool,
    "assignment": dict,
    "settings": dict,
    "epochs": int,
    "reason": str,
    "evidence": dict,
}
_SITE_FIELDS: dict[str, Any] = {
    "current": str,
    "shape": (list, type(None)),
    "channels": (int, type(None)),
    "channel_dim": int,
}


def _check_fields(data: Any, fields: Mapping[str, Any], where: str) -> None:
    """Every field is there, has its type, and there is no other."""
    if not isinstance(data, Mapping):
        raise AutoactError(f"{where} is not a mapping")
    for name in data:
        if name not in fields:
            raise unknown(f"field in {where}", name, fields)
    for name, kind in fields.items():
        if name not in data:
            raise AutoactError(f"{where}: the field {name!r} is missing")
        if not isinstance(data[name], kind):
            raise AutoactError(f"{where}: the field {name!r} holds {data[name]!r}, which has the wrong type")


def _read_policy(data: Any, where: str) -> Policy:
    """A policy from plain data."""
    _check_fields(data, _POLICY_FIELDS, where)
    for site, choice in data["assignment"].items():
        if not isinstance(choice, str):
            raise AutoactError(f"{where}: the activation of {site!r} is {choice!r}, not a name")
    for name, value in data["settings"].items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise AutoactError(f"{where}: the setting {name!r} is {value!r}, not a number")
    return Policy(
        recommend=data["recommend"],
        assignment=Assignment({site: Choice.parse(choice) for site, choice in data["assignment"].items()}),
        settings={name: float(value) for name, value in data["settings"].items()},
        epochs=data["epochs"],
        reason=data["reason"],
        evidence=data["evidence"],
    )


def load_recommendation(path: str | Path) -> Recommendation:
    """Read ``recommended.yaml``.

    Raises:
        AutoactError: no such file, not YAML, or not a recommendation.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        raise AutoactError(f"cannot read the recommendation {str(file)!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise AutoactError(f"the recommendation {str(file)!r} is not UTF-8 text") from error
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise AutoactError(f"the recommendation {str(file)!r} is not YAML: {str(error).splitlines()[0]}") from error
    return Recommendation.from_dict(data, str(file))
