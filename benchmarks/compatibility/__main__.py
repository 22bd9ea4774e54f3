"""What becomes of models that nobody here wrote: found, trained together or one by one, searched, registered, reloaded.

    python -m benchmarks.compatibility --write docs/compatibility.md

Models come from their packages with random weights; nothing is downloaded. Each row runs in a process of its own; a
package that is not installed is said so (``pip install '.[compatibility]'``). ``--hydra-template`` names a checkout of
lightning-hydra-template, which is no package. Exit code 1 where a row ends in a traceback.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.compatibility.models import Entry, entries
from benchmarks.compatibility.subject import Subject
from benchmarks.machine import markdown_table, origin, origin_lines

PACKAGES = (
    *("torch", "lightning", "pytorch-forecasting", "torchvision", "timm", "transformers", "torch_geometric"),
    *("segmentation_models_pytorch", "skorch"),
)
TRIALS, MEMBERS, EPOCHS = 4, 4, 2
CANDIDATES = ("relu", "silu", "tanh")
# Of the largest output, or of 1 where that is less.
TOLERANCE = 1e-5
NOT_RUN, TRACEBACK = "-", "traceback"


@dataclass
class Found:
    """One row of the table; a reason in place of a result where there is none.

    Attributes:
        package: where the model is from.
        name: of the model.
        sites: activations that could be replaced.
        kept: of these, kept unless they are named.
        searched: of these, searched.
        fixed: activations that cannot be replaced, each listed by the search.
        population: ``yes``, or why candidates train one by one.
        speed: how many times faster a population of MEMBERS trains than one by one.
        search: ``yes``, or what was said.
        registered: likewise.
        exported: likewise, to ONNX.
        equal: likewise, weights loaded into a fresh model with the same activations.
        seconds: of the whole row.
    """

    package: str
    name: str
    sites: int | None = None
    kept: int | None = None
    searched: int | None = None
    fixed: int | None = None
    population: str = NOT_RUN
    speed: float | None = None
    search: str = NOT_RUN
    registered: str = NOT_RUN
    exported: str = NOT_RUN
    equal: str = NOT_RUN
    seconds: float = field(default=0.0, compare=False)


def examine(entry: Entry, output: Path) -> Found:
    """Everything about one model, in this process."""
    from autoact import AutoactError

    found, began = Found(entry.package, entry.name), time.perf_counter()
    try:
        _examine(entry, output, found)
    except AutoactError as error:
        found.search = str(error)
    except ImportError as error:
        found.search = f"not run: {error}"
    except Exception as error:  # what no user should meet: the row says so
        import traceback

        traceback.print_exc()
        found.search = f"{TRACEBACK}: {type(error).__name__}: {error}"
    found.seconds = time.perf_counter() - began
    return found


def _examine(entry: Entry, output: Path, found: Found) -> None:
    """Fill the row, step by step."""
    import autoact
    from autoact.training.lightning_session import SessionOptions
    from autoact.training.population.eligibility import why_not

    subject = entry.make()
    trainer = {"max_epochs": EPOCHS}
    task = task_of(subject, trainer)
    sites = autoact.find_sites(task.make_module(), task.example_input)
    found.sites, found.kept = len(sites), sum(bool(site.kept) for site in sites)
    found.searched, found.fixed = found.sites - found.kept, len(sites.unreplaceable)
    result = autoact.search(
        subject.make_module,
        subject.datamodule,
        monitor=subject.monitor,
        mode="min",
        trials=TRIALS,
        candidates=CANDIDATES,
        trainer=trainer,
        callbacks=subject.callbacks,
        confirm=autoact.ConfirmSettings(seeds=0),
        engine="inline",
        tracking="none",
        output=output / "search",
        name=f"{entry.package} {entry.name}".replace("/", "-"),
        hardware=autoact.HardwareSettings(device="cpu", throughput_batch=4, rounds=3, min_ms=1.0),
        quiet=True,
    )
    ended = [record for record in result.records if record.complete]
    failed = len(result.records) - len(ended)
    found.search = "yes" if not failed else f"yes; {failed} of {len(result.records)} trials failed"
    found.population = why_not(task, SessionOptions()) or "yes"
    if found.population == "yes":
        found.speed = speed_up(task, [record.candidate for record in ended])
    last = ended[-1].candidate.assignment
    found.registered, found.exported = registered(task, last, output, found)
    found.equal = reloaded(task, last)


def task_of(subject: Subject, trainer: dict[str, Any]) -> Any:
    """The same task as the search's."""
    from autoact.user_code.lightning_task import lightning_task

    return lightning_task(
        subject.make_module,
        subject.datamodule,
        monitor=subject.monitor,
        mode="min",
        trainer=trainer,
        make_callbacks=subject.callbacks,
    )


def speed_up(task: Any, candidates: Sequence[Any]) -> float:
    """Seconds one by one over seconds together, of the same trainings.

    Raises:
        RuntimeError: they end with other values in double precision, where the order of sums does not show.
    """
    from dataclasses import replace

    from autoact.core.trial import Role
    from autoact.training.lightning_session import LightningSession
    from autoact.training.population import PopulationSession

    several = [replace(candidates[k % len(candidates)], role=Role.CHECK) for k in range(MEMBERS)]

    def trained(kind: Any, task: Any) -> tuple[float, list[Any]]:
        session = kind(task)
        began = time.perf_counter()
        session.start(list(enumerate(several)))
        session.advance()
        return time.perf_counter() - began, [record.quality for record in session.records()]

    exact, close = replace(task, trainer={**task.trainer, "precision": "64-true"}), 1e-6
    if None in trained(LightningSession, exact)[1]:  # its batches are of a kind that Lightning leaves in single
        exact, close = task, 1e-3
    (_, alone), (_, together) = (trained(kind, exact) for kind in (LightningSession, PopulationSession))
    for one, other in zip(alone, together, strict=True):
        if one is None or other is None or abs(one - other) > close * max(1.0, abs(one)):
            raise RuntimeError(f"a population ends with {other}, a training alone with {one}")
    return trained(LightningSession, task)[0] / trained(PopulationSession, task)[0]


def changed(task: Any, assignment: Any) -> Any:
    """A fresh model with these activations, in evaluation mode."""
    from autoact import apply_

    module = task.make_module()
    apply_(module, assignment, example_input=task.example_input)
    return module.eval()


def registered(task: Any, assignment: Any, output: Path, found: Found) -> tuple[str, str]:
    """Whether the model is registered and gives the same values when read back, and whether that one is exported."""
    from autoact import AutoactError
    from autoact.tracking.models.model_artifacts import fetch_model, log_model
    from autoact.tracking.settings import TrackingSettings
    from autoact.tracking.store import Store
    from autoact.workflows.export import to_onnx

    module, store = changed(task, assignment), Store(TrackingSettings(), output)
    logged = log_model(
        *(store, "compatibility", module, task.example_input),
        name=found.name,
        params={},
        metrics={},
        tags={},
        files={},
        register="".join(c if c.isalnum() else "-" for c in f"{found.package}-{found.name}"),
    )
    if logged.version is None:
        return logged.note, NOT_RUN
    model = fetch_model(store, logged.version.uri)
    same = difference(module, model.module, task.example_input)
    try:
        to_onnx(model, output / "model.onnx")
    except AutoactError as error:
        return same, str(error)
    return same, "yes"


def reloaded(task: Any, assignment: Any) -> str:
    """Whether weights with their activations, loaded into a fresh model, compute the same."""
    import autoact

    module = changed(task, assignment)
    fresh = task.make_module().eval()
    autoact.restore_(fresh, module.state_dict(), example_input=task.example_input)
    return difference(module, fresh, task.example_input)


def difference(one: Any, other: Any, example: Any) -> str:
    """``yes`` where two models compute the same, else by how much they differ."""
    import torch

    from autoact.latency.model_call import call_model
    from autoact.sites.tracing.dry_run import tensors_in

    with torch.no_grad():
        results = [[*tensors_in(call_model(model, example))] for model in (one, other)]
    for a, b in zip(*results, strict=True):
        largest, scale = float((a.double() - b.double()).abs().max()), max(1.0, float(a.abs().max()))
        if not largest <= TOLERANCE * scale:
            return f"differs by {largest:.3g}"
    return "yes"


def in_its_own_process(entry: Entry, options: argparse.Namespace, output: Path) -> Found:
    """The same, where a crash or an endless loop costs one row."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "benchmarks.compatibility",
        "--row",
        f"{entry.package}/{entry.name}",
    ]
    command += ["--output", str(output)]
    command += ["--hydra-template", options.hydra_template] if options.hydra_template else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=options.seconds, env=environment)
    except subprocess.TimeoutExpired:
        return Found(entry.package, entry.name, search=f"not finished in {options.seconds} s", seconds=options.seconds)
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"package"')]
    sys.stderr.write(done.stderr if not lines or TRACEBACK in lines[-1] else "")
    if not lines:
        return Found(entry.package, entry.name, search=f"{TRACEBACK}: exit code {done.returncode}")
    return Found(**json.loads(lines[-1]))


def examined(chosen: Sequence[Entry], options: argparse.Namespace) -> list[Found]:
    """Every row; those that ``--results`` holds already are not run again."""
    held: dict[tuple[str, str], Found] = {}
    if options.results is not None and options.results.exists():
        lines = options.results.read_text(encoding="utf-8").splitlines()
        held = {(row.package, row.name): row for row in (Found(**json.loads(line)) for line in lines)}
    rows = []
    with tempfile.TemporaryDirectory(prefix="autoact-compatibility-") as folder:
        for entry in chosen:
            row = held.get((entry.package, entry.name))
            if row is None:
                row = in_its_own_process(entry, options, Path(folder))
                print(json.dumps(asdict(row)), file=sys.stderr, flush=True)
                if options.results is not None:
                    with options.results.open("a", encoding="utf-8") as file:
                        file.write(f"{json.dumps(asdict(row))}\n")
            rows.append(row)
    return rows


def table(rows: Sequence[Found]) -> str:
    """The rows as Markdown; long reasons stand below it, numbered."""
    reasons: dict[str, int] = {}

    def cell(text: str) -> str:
        if len(text) <= 3:
            return text
        return f"[{reasons.setdefault(text, len(reasons) + 1)}]"

    header = ["model", "sites", "kept", "searched", "fixed", "population", "search", "registered", "ONNX", "reloaded"]
    lines = []
    for row in rows:
        counts = ["-" if n is None else str(n) for n in (row.sites, row.kept, row.searched, row.fixed)]
        together = f"{row.speed:.1f}x" if row.speed is not None else cell(row.population)
        ends = [cell(text) for text in (row.search, row.registered, row.exported, row.equal)]
        lines.append([f"{row.package}: {row.name}", *counts, together, *ends])
    notes = "\n".join(f"{number}. {text}" for text, number in reasons.items())
    return f"{markdown_table(header, lines)}\n\n{notes}"


PAGE = """# Models that nobody here wrote

Made by `python -m benchmarks.compatibility`. Models come from their packages, with random weights and a dozen random
rows; what is counted and tried:

- *sites*: activations that can be replaced; *kept*: of these, left as they are unless `space.include` names them
  (outputs, gates, ...); *searched*: the rest; *fixed*: activations that cannot be replaced, which a search lists with
  the reason.
- *population*: candidates train together with the same results as alone, that many times as fast ({members} members, a
  dozen rows, {epochs} epochs: overhead counts most). A search tries for a few steps first, and trains together where
  that is faster. Each ratio was measured once, while the machine did other work: take 0.7x to 1.4x as no difference.
  A number in brackets: candidates train one by one, for that reason.
- *search*: {trials} trials of {candidates}, without a final check.
- *registered*: logged to MLflow, read back, and equal; *ONNX*: that model exported, and equal in ONNX Runtime.
- *reloaded*: the weights put into a fresh model by `autoact.restore_`, and equal.

{table}

{summary}

{origin}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows whose package or name contains this")
    parser.add_argument("--hydra-template", default=None, metavar="DIR", help="checkout of lightning-hydra-template")
    parser.add_argument("--seconds", type=int, default=600, help="most seconds of a row")
    parser.add_argument("--write", type=Path, default=None, metavar="FILE", help="the page to write")
    parser.add_argument("--results", type=Path, default=None, metavar="FILE", help="rows so far; the others are added")
    parser.add_argument("--row", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    chosen = [e for e in entries(options.hydra_template) if options.only in f"{e.package}/{e.name}"]
    if options.row is not None:
        entry = next(e for e in chosen if options.row == f"{e.package}/{e.name}")
        print(json.dumps(asdict(examine(entry, options.output))))
        return 0
    rows = examined(chosen, options)
    broken = sum(row.search.startswith(TRACEBACK) for row in rows)
    searched = sum(row.search.startswith("yes") for row in rows)
    summary = f"{len(rows)} models: {searched} searched, {broken} ended in a traceback."
    page = PAGE.format(
        members=MEMBERS,
        epochs=EPOCHS,
        trials=TRIALS,
        candidates=", ".join(CANDIDATES),
        table=table(rows),
        summary=summary,
        origin=origin_lines(origin(PACKAGES)),
    )
    if options.write is not None:
        options.write.write_text(page, encoding="utf-8")
    print(page)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
