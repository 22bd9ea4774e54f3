"""``python -m autoact check``: the gate for CI and production; exit code 1 on a regression."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from autoact.cli.config_arguments import answered, print_notes, read
from autoact.config.effective_keys import CHECK
from autoact.config.schema import Config
from autoact.core.errors import AutoactError, unknown

if TYPE_CHECKING:
    from autoact.recommendation import Recommendation
    from autoact.workflows.checking.check_result import CheckResult, Finding, Tolerances

USAGE = """usage: python -m autoact check recommended.yaml task=NAME [data.path=new.csv] [key=value ...]
       python -m autoact check recommended.yaml module=... datamodule=... monitor=... mode=... trust=... [key=value ...]

The recommendation is a file, runs:/ID, models:/NAME/VERSION or models:/NAME@ALIAS.
Measures it again on the data given, against its stored evidence: quality and gain over the baseline under
fresh seeds, latency and cost ratio to the baseline, and how far each input column has moved (PSI).
Exit code: 0 within the tolerances, 1 a regression, 2 a mistake.

  seeds=5               fresh seeds; more narrow the intervals
  policy=NAME           quality, balanced, economy or baseline
  tolerance.quality=X   loss against the stored quality, in units of the metric (the search's margin unless given)
  tolerance.gain=X      the least gain over the baseline (0 where it was proved, minus the margin otherwise)
  tolerance.latency=.1  share by which the latency ratio may grow
  tolerance.cost=.1     share by which the cost ratio may grow
  tolerance.drift=.25   the PSI from which on a column counts as changed
  --test                judge on the test rows: opens the seal, and counts the opening
  --strict              what is unclear counts as a regression
  --webhook URL         post the same as JSON; where that fails, it is said, and the exit code stays
"""
SECONDS = 10.0
# So many columns are printed even where none has moved.
SHOWN = 5
TITLES = {"gain": "gain over the baseline", "latency": "latency ratio", "cost": "cost ratio"}


def run(arguments: Sequence[str]) -> int:
    """Run the verb; returns the exit code."""
    words = list(arguments)
    source = words.pop(0) if words and "=" not in words[0] and not words[0].startswith("-") else None
    own = {word.partition("=")[0]: word.partition("=")[2] for word in words if _is_own(word)}
    options = read([word for word in words if not _is_own(word)], own=("--test", "--strict"), valued=("--webhook",))
    if answered(options, USAGE):
        return 0
    webhook = options.flags.get("--webhook")
    if webhook is not None and (urlsplit(webhook).scheme not in ("http", "https") or not urlsplit(webhook).netloc):
        raise AutoactError("--webhook wants an address that begins with http:// or https://")
    config, _, notes = options.settings(CHECK)
    if source is not None and config.recommendation is not None:
        raise AutoactError(f"{source} and recommendation={config.recommendation} both name a recommendation: give one")
    checked = _checked(config, source or config.recommendation, own, options.flags)
    print_notes(notes)
    _print(checked)
    if webhook is not None:
        _post(webhook, checked.to_dict())
    return 0 if checked.passed else 1


def _is_own(word: str) -> bool:
    """Whether this key is the verb's, and none of the configuration."""
    return word.startswith(("seeds=", "tolerance."))


def _number(name: str, text: str) -> float:
    """A number that the user wrote."""
    try:
        value = float(text)
    except ValueError as error:
        raise AutoactError(f"{name}={text} is not a number") from error
    if not math.isfinite(value):
        raise AutoactError(f"{name}={text} is not a finite number")
    return value


def _tolerances(own: dict[str, str]) -> Tolerances:
    """What the user allows."""
    from autoact.workflows.checking.check_result import Tolerances

    allowed = [f"tolerance.{field.name}" for field in fields(Tolerances)]
    for name in own:
        if name not in (*allowed, "seeds"):
            raise unknown("key", name, allowed)
    return Tolerances(**{n.removeprefix("tolerance."): _number(n, text) for n, text in own.items() if n in allowed})


def _checked(config: Config, source: str | None, own: dict[str, str], flags: dict[str, str]) -> CheckResult:
    """The check itself."""
    if source is None:
        raise AutoactError("check needs a recommendation: python -m autoact check recommended.yaml task=NAME")
    from autoact.workflows.load_recommendation import load_recommendation

    recommendation = load_recommendation(source, tracking_uri=config.tracking.uri, output=config.output)
    recommendation.policy(config.policy)
    tolerances = _tolerances(own)
    seeds = _number("seeds", own.get("seeds", "5"))
    if seeds < 2 or seeds != int(seeds):
        raise AutoactError(f"seeds={own['seeds']}: an interval needs a whole number of fresh seeds, 2 or more")
    from autoact.engines.workers.prestart import early_workers

    with early_workers(config.engine):
        return _measured(config, recommendation, tolerances, int(seeds), flags)


def _measured(
    config: Config, recommendation: Recommendation, tolerances: Tolerances, seeds: int, flags: dict[str, str]
) -> CheckResult:
    """What the measurements of today say."""
    from autoact.cli.from_config import as_in_search, make_task
    from autoact.engines.workers.prestart import settle
    from autoact.latency.hardware import resolve_device
    from autoact.study.storage.optuna_storage import storage_url
    from autoact.workflows.check import CheckSettings, check

    config, notes = as_in_search(config, recommendation)
    output, storage = Path(config.output), None
    if "--test" in flags:
        output.mkdir(parents=True, exist_ok=True)
        storage = storage_url(config.search, output)
    means = CheckSettings(
        device=resolve_device(config.hardware.device),
        hardware=config.hardware,
        engine=config.engine,
        search=config.search,
        margin=config.objectives.margin,
        seeds=seeds,
        data=config.data if config.module is None else None,
        kind=config.task.kind,
        storage=storage,
        strict="--strict" in flags,
    )
    task = make_task(config)
    settle()
    checked = check(task, recommendation, config.policy, tolerances, means)
    return replace(checked, notes=[*notes, *checked.notes])


def _print(checked: CheckResult) -> None:
    """The table, what it means, and the regressions by name."""
    from rich import box
    from rich.table import Table

    from autoact.report.console import console

    out = console()
    simulated = " (simulated data)" if checked.about.get("simulated") else ""
    title = f"{checked.task}{simulated}: policy {checked.policy}, {checked.seeds} fresh seeds, {checked.judged} rows"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(("quantity", "stored", "now", "interval", "allowed", "verdict")):
        table.add_column(column, justify="left" if index in (0, 5) else "right", no_wrap=True)
    shown = _shown(checked.findings)
    for finding in shown:
        table.add_row(*_cells(finding, checked.unit))
    out.print(table)
    hidden = len(checked.findings) - len(shown)
    if hidden:
        out.print(f"{hidden} other columns have moved less.")
    for note in checked.notes:
        out.print(f"note: {note}", markup=False, soft_wrap=True)
    out.print(_said(checked), markup=False, soft_wrap=True, style="bold")


def _said(checked: CheckResult) -> str:
    """The outcome in one line."""
    if checked.regressions:
        return f"Regression: {', '.join(_title(finding, checked.unit) for finding in checked.regressions)}"
    open_ones = [_title(finding, checked.unit) for finding in checked.findings if finding.verdict == "unclear"]
    more = f" Neither proved nor refuted: {', '.join(open_ones)} (more seeds or rows narrow the interval)."
    return f"No regression.{more}" if open_ones else "Within the tolerances."


def _shown(findings: Sequence[Finding]) -> list[Finding]:
    """All but the columns that have not moved; a few of those."""
    quiet = [f for f in findings if f.name.startswith("drift:") and f.verdict == "ok" and not f.reason]
    return [finding for finding in findings if finding not in quiet[SHOWN:]]


def _title(finding: Finding, unit: str) -> str:
    """What a quantity is called."""
    if finding.name.startswith("drift:"):
        return f"PSI of {finding.name.removeprefix('drift:')}"
    return unit if finding.name == "quality" else TITLES[finding.name]


def _cells(finding: Finding, unit: str) -> list[str]:
    """One row of the table."""
    from autoact.report.result_table import number
    from autoact.study.confirmation.verdict import signed

    drifted = finding.name.startswith("drift:")
    write: Any = signed if finding.name == "gain" else number

    def text(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}" if drifted else write(value)

    interval = "-" if finding.low is None else f"{text(finding.low)} to {text(finding.high)}"
    if drifted:
        interval = f"by chance < {text(finding.high)}"
    bound = "-" if finding.allowed is None else f"{'>=' if finding.least else '<='} {text(finding.allowed)}"
    verdict = f"{finding.verdict}: {finding.reason}" if finding.reason else finding.verdict
    return [_title(finding, unit), text(finding.stored), text(finding.now), interval, bound, verdict]


def _post(url: str, data: dict[str, Any]) -> None:
    """Send the result; a webhook that fails is said, and decides nothing.

    The address may hold a secret: messages name its host alone.
    """
    body = json.dumps(data, allow_nan=False).encode()
    request = Request(url, data=body, headers={"Content-Type": "application/json"}, method="POST")
    try:
        with urlopen(request, timeout=SECONDS) as answer:
            answer.read(1)
    except (URLError, HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        print(f"autoact: the webhook at {urlsplit(url).hostname} failed: {reason}", file=sys.stderr)
