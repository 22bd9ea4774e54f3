"""The files of a study: trials, latency table, final check, recommendation, report."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from autoact.core.errors import AutoactError
from autoact.core.value_holders import PlainData
from autoact.recommendation import Recommendation, load_recommendation
from autoact.report.markdown import to_markdown
from autoact.sites import Sites
from autoact.study.callbacks import SearchCallback
from autoact.study.outcome.result import SearchResult
from autoact.study.outcome.to_recommendation import recommendation
from autoact.workflows.load_recommendation import FILE as RECOMMENDED
from autoact.workflows.searching.choose_network import NetworkChoice

RAW, NETWORKS = "confirmation.json", "networks.csv"


@dataclass(eq=False)
class SearchFiles(SearchCallback):
    """Writes the study's files: trials, result, recommendation; a table of the networks where one was chosen."""

    folder: Path
    sites: Sites
    rescale: bool
    about: PlainData
    activation_rate: float = 1.0
    networks: NetworkChoice | None = None

    def search_finished(self, result: SearchResult) -> None:
        """Write them, and tell the result where they are."""
        folder, files = self.folder.absolute(), {}
        trials = folder / "trials.jsonl"
        trials.write_text("".join(f"{record.to_json()}\n" for record in result.records), encoding="utf-8")
        files["trials"] = str(trials)
        files["latency table"] = str(folder / "latency.json")
        if self.networks is not None:
            self.networks.save(folder / NETWORKS)
            files["networks"] = str(folder / NETWORKS)
        if result.selection is not None and result.rulings:
            made = recommendation(result, result.selection, self.sites, self.rescale, self.about, self.activation_rate)
            files |= _kept_or_replaced(folder / RECOMMENDED, made, result)
        if result.opening or (result.trainings and not (folder / RAW).exists()):
            (folder / RAW).write_text(json.dumps(result.trainings, indent=1), encoding="utf-8")
            files["final check"] = str(folder / RAW)
        report = folder / "report.md"
        files["report"] = str(report)
        result.files.update(files)
        report.write_text(to_markdown(result), encoding="utf-8")


def _kept_or_replaced(file: Path, made: Recommendation, result: SearchResult) -> dict[str, str]:
    """Save a recommendation; what a final check proved is never lost to a run without one, nor to a later check."""
    proved = _opening_of(file)
    if proved and not result.opening:
        return {f"recommendation of opening {proved}, unchanged": str(file)}
    files = {}
    if proved and proved != result.opening:
        earlier = file.with_stem(f"{file.stem}-opening-{proved}")
        shutil.copy2(file, earlier)
        files[f"recommendation of opening {proved}"] = str(earlier)
    return {"recommendation": str(made.save(file)), **files}


def _opening_of(file: Path) -> int:
    """The opening of the test part that a recommendation on disk was proved with; 0 where there is none."""
    try:
        return int(load_recommendation(file).about.get("opening", 0))
    except (AutoactError, TypeError, ValueError):
        return 0
