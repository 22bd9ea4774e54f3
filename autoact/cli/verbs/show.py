"""``python -m autoact show``: a recommendation for people, or as Python source that needs torch alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from autoact.cli.simple_arguments import PLACES, words
from autoact.core.errors import AutoactError, unknown
from autoact.core.value_holders import PlainData
from autoact.recommendation import Policy, Recommendation
from autoact.recommendation.safe_text import printable

USAGE = """usage: python -m autoact show recommended.yaml [policy=NAME] [--as=text|python] [runs=DIR] [tracking.uri=URI]

Prints a recommendation: a file, runs:/RUN_ID/recommended.yaml, models:/NAME/3 or models:/NAME@candidate. --as=python
prints source code of the recommended activations that needs torch, and not autoact.
"""
FORMS = ("text", "python")

# Entry of the evidence -> what it is called, and the unit behind its value.
LABELS = {
    "validation": ("validation {metric}", ""),
    "test_mean": ("test {metric}, mean over fresh seeds", ""),
    "test_sd_over_seeds": ("test {metric}, standard deviation over fresh seeds", ""),
    "seeds": ("fresh seeds", ""),
    "latency_ms": ("median latency", " ms"),
    "latency_p90_ms": ("90th percentile of the latency", " ms"),
    "latency_p99_ms": ("99th percentile of the latency", " ms"),
    "cost_per_million": ("cost per million samples", " {currency}"),
    "latency_ratio_to_tuned_baseline": ("latency ratio", " times the tuned baseline's"),
    "cost_ratio_to_tuned_baseline": ("cost ratio", " times the tuned baseline's"),
    "training_time_ratio_to_tuned_baseline": ("training time ratio", " times the tuned baseline's"),
}
# The same for shares, which are printed in percent.
SHARES = {
    "latency_table_error": ("median latency", " against what the latency table predicted"),
    "error_reduction": ("error reduction", " of the tuned baseline's distance to perfect predictions"),
}


def run(arguments: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    given = words(arguments, ("as", "policy", *PLACES), most=1)
    if not given.plain:
        raise AutoactError("show needs a recommendation: a file, runs:/... or models:/...")
    form = given.values.get("as", "text")
    if form not in FORMS:
        raise unknown("--as", form, FORMS)
    from autoact.workflows.load_recommendation import load_recommendation

    policy = given.values.get("policy")
    found = load_recommendation(given.plain[0], **given.places)
    found.policy(policy)
    if form == "python":
        from autoact.recommendation.python_source import to_python

        print(to_python(found, policy), end="")
    else:
        print("\n".join(map(printable, _lines(found, policy))))
    return 0


def _lines(found: Recommendation, policy: str | None) -> Iterator[str]:
    """A recommendation as lines of text."""
    simulated = " [SIMULATED DATA]" if found.simulated else ""
    yield f"{found.task}{simulated}: {found.verdict}"
    where = found.source.get("resolved", found.source.get("uri", ""))
    yield f"  written {found.created}, sha256 {found.digest[:16]}, from {where}"
    metric = found.metric.get("name", "quality")
    better = {"max": " (higher is better)", "min": " (lower is better)"}.get(found.metric.get("mode", ""), "")
    yield f"  quality: {metric}{better}"
    price = found.about.get("hardware", {}).get("price") or {}
    units = {"metric": metric, "currency": price.get("currency", "")}
    outcomes = {**found.policies, "baseline": found.baseline}
    for name, outcome in outcomes.items():
        if policy in (None, name):
            yield ""
            yield from _policy(name, outcome, units, found.rate_of_weights(outcome))
    yield ""
    data, packages = found.about.get("data", {}), found.about.get("packages", {})
    if data.get("summary"):
        yield f"data: {data['summary']}"
    if packages:
        yield f"packages: {', '.join(f'{name} {number}' for name, number in packages.items())}"


def _policy(name: str, outcome: Policy, units: Mapping[str, str], rate: str) -> Iterator[str]:
    """One policy: what it says, and why; ``rate`` says how weights of activations train."""
    if name == "baseline":
        yield f"baseline: {outcome.reason}"
    else:
        yield f"{name}: {'recommended' if outcome.recommend else 'keep the baseline'}"
        yield f"  {outcome.reason}"
    for site, choice in outcome.assignment.items():
        yield f"  {site}: {choice}"
    settings = ", ".join(f"{key}={value:g}" for key, value in outcome.settings.items())
    yield f"  train it for {outcome.epochs} epochs" + (f" with {settings}" if settings else "")
    if outcome.threshold is not None:
        yield f"  predict the positive class above {outcome.threshold:.4g}, fitted on validation rows"
    if rate:
        yield f"  {rate}"
    yield from _evidence(outcome.evidence, units)


def _evidence(evidence: PlainData, units: Mapping[str, str]) -> Iterator[str]:
    for key, value in evidence.items():
        if key == "gain_over_tuned_baseline":
            mean, low, high = (_number(one, "+") for one in value)
            level = f"{100 * evidence['gain_confidence']:.4g} % " if "gain_confidence" in evidence else ""
            yield (
                f"  gain over the tuned baseline: {mean} {units['metric']} on test rows ({level}confidence interval "
                f"{low} to {high})"
            )
        elif key == "gain_confidence":
            continue
        elif key in SHARES:
            title, unit = SHARES[key]
            yield f"  {title}: {value:+.2%}".replace("%", " %") + unit
        elif not isinstance(value, Mapping):
            title, unit = LABELS.get(key, ("{key}", ""))
            shown = _number(value) if isinstance(value, float) else str(value)
            yield f"  {title.format(key=key.replace('_', ' '), **units)}: {shown}{unit.format(**units)}".rstrip()


def _number(value: float, sign: str = "") -> str:
    """Four digits; large numbers whole, with commas."""
    return f"{value:{sign},.0f}" if abs(value) >= 1000 else f"{value:{sign}.4g}"
