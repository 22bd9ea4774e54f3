"""``python -m autoact show``: a recommendation for people, or as Python source that needs torch alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autoact.cli.words import PLACES, words
from autoact.core.errors import AutoactError, unknown

USAGE = """usage: python -m autoact show recommended.yaml [policy=NAME] [--as=text|python] [runs=DIR] [tracking.uri=URI]

Prints a recommendation: a file, runs:/RUN_ID/recommended.yaml, models:/NAME/3 or models:/NAME@candidate. --as=python
prints source code of the recommended activations that needs torch, and not autoact.
"""
FORMS = ("text", "python")


def run(arguments: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    given = words(arguments, ("as", "policy", *PLACES), most=1)
    if given.help:
        print(USAGE, end="")
        return 0
    if not given.plain:
        raise AutoactError("show needs a recommendation: a file, runs:/... or models:/...")
    form = given.values.get("as", "text")
    if form not in FORMS:
        raise unknown("--as", form, FORMS)
    from autoact.faces.load import load_recommendation

    uri, policy = given.values.get("tracking.uri"), given.values.get("policy")
    found = load_recommendation(given.plain[0], tracking_uri=uri, output=given.runs)
    found.policy(policy)
    if form == "python":
        from autoact.faces.source import to_python

        print(to_python(found, policy), end="")
    else:
        print("\n".join(_lines(found, policy)))
    return 0


def _lines(found: Any, policy: str | None) -> Iterator[str]:
    """A recommendation as lines of text."""
    simulated = " [SIMULATED DATA]" if found.simulated else ""
    yield f"{found.task}{simulated}: {found.verdict}"
    where = found.source.get("resolved", found.source.get("uri", ""))
    yield f"  written {found.created}, sha256 {found.digest[:16]}, from {where}"
    yield f"  quality: {found.metric.get('name')} ({found.metric.get('mode')})"
    held = {**found.policies, "baseline": found.baseline}
    for name, outcome in held.items():
        if policy in (None, name):
            yield ""
            yield from _policy(name, outcome)
    yield ""
    data, packages = found.about.get("data", {}), found.about.get("packages", {})
    if data.get("summary"):
        yield f"data: {data['summary']}"
    if packages:
        yield f"packages: {', '.join(f'{name} {number}' for name, number in packages.items())}"


def _policy(name: str, outcome: Any) -> Iterator[str]:
    """One policy: what it says, and why."""
    if name == "baseline":
        yield f"baseline: {outcome.reason}"
    else:
        yield f"{name}: {'recommended' if outcome.recommend else 'keep the baseline'}"
        yield f"  {outcome.reason}"
    for site, choice in outcome.assignment.items():
        yield f"  {site}: {choice}"
    settings = ", ".join(f"{key}={value:g}" for key, value in outcome.settings.items())
    yield f"  train it for {outcome.epochs} epochs" + (f" with {settings}" if settings else "")
    yield from _evidence(outcome.evidence)


def _evidence(evidence: Mapping[str, Any]) -> Iterator[str]:
    """The numbers, one line each."""
    for key, value in evidence.items():
        if key == "gain_over_tuned_baseline":
            mean, low, high = value
            yield f"  gain over tuned baseline: {_number(mean, '+')} ({_number(low, '+')} to {_number(high, '+')})"
        elif not isinstance(value, Mapping):
            yield f"  {key.replace('_', ' ')}: {_number(value) if isinstance(value, float) else value}"


def _number(value: float, sign: str = "") -> str:
    """Four digits; large numbers whole, with commas."""
    return f"{value:{sign},.0f}" if abs(value) >= 1000 else f"{value:{sign}.4g}"
