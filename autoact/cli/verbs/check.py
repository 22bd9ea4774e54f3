"""``python -m autoact check``: the gate for CI and production; exit code 1 on a regression."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from http.client import HTTPException
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from autoact.cli.config_arguments import answered, read
from autoact.config.effective_keys import CHECK
from autoact.core.errors import AutoactError, unknown

if TYPE_CHECKING:
    from autoact.workflows.checking.check_result import CheckResult, Tolerances

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
    config, keys, notes = options.settings(CHECK)
    if source is None and config.recommendation is None:
        raise AutoactError("check needs a recommendation: python -m autoact check recommended.yaml task=NAME")
    seeds = _number("seeds", own.pop("seeds", "5"))
    if seeds < 2 or seeds != int(seeds):
        raise AutoactError(f"seeds={seeds:g}: an interval needs a whole number of fresh seeds, 2 or more")
    from autoact.engines.workers.prestart import early_workers

    with early_workers(config.engine):
        from autoact.workflows.check import check
        from autoact.workflows.task_source import Configured

        checked = check(
            source,
            Configured(config, given=keys, notes=notes),
            seeds=int(seeds),
            tolerances=_tolerances(own),
            test="--test" in options.flags,
            strict="--strict" in options.flags,
        )
    _print(checked)
    if webhook is not None:
        _post(webhook, checked.to_dict())
    return 0 if checked.passed else 1


def _is_own(word: str) -> bool:
    """Whether this key is the verb's, and none of the configuration."""
    return word.startswith(("seeds=", "tolerance."))


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise AutoactError(f"{name}={text} is not a number") from error
    if not math.isfinite(value):
        raise AutoactError(f"{name}={text} is not a finite number")
    return value


def _tolerances(own: dict[str, str]) -> Tolerances:
    from autoact.workflows.checking.check_result import Tolerances

    allowed = [f"tolerance.{field.name}" for field in fields(Tolerances)]
    for name in own:
        if name not in allowed:
            raise unknown("key", name, allowed)
    return Tolerances(**{name.removeprefix("tolerance."): _number(name, text) for name, text in own.items()})


def _print(checked: CheckResult) -> None:
    """The table, what it means, and the regressions by name."""
    from autoact.report.console import console
    from autoact.report.terminal import drawn

    out, table = console(), checked.table()
    out.print(drawn(table, left=(0, len(table.columns) - 1), fold=False))
    for line in [*table.footnotes, *(f"note: {note}" for note in checked.notes)]:
        out.print(line, markup=False, soft_wrap=True)
    out.print(checked.verdict, markup=False, soft_wrap=True, style="bold")


def _post(url: str, data: Mapping[str, object]) -> None:
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
