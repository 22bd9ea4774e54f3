"""What a search has come to: it grows stage by stage, and becomes the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autoact.core.trial import TrialRecord
from autoact.study.confirmation.choose_on_validation import StageOneChoice
from autoact.study.confirmation.claim_on_test import Confirmation
from autoact.study.confirmation.end_to_end_timing import Measured
from autoact.study.confirmation.shrinkage import Estimates
from autoact.study.selection import Selection
from autoact.study.settings import ConfirmSettings


@dataclass
class SearchEvidence:
    """How far a search has come.

    Attributes:
        selection: the trials that matter, by the first stage of the check once it is made; None where the baseline did
            not finish.
        settings: of the check, as far as there is time for it.
        chosen: the first stage of the final check; None where there was none.
        broken: name of a row -> the user's limit that it breaks, measured end to end.
        confirmation: the second stage; None where there was none.
        unfinished: whether the user's stop or the end of the minutes came before the end of the check.
        interrupted: whether that was the user's stop.
        out_of_time: what to do where it was the end of the minutes; else empty.
    """

    records: Sequence[TrialRecord]
    estimates: Estimates
    selection: Selection | None
    settings: ConfirmSettings
    chosen: StageOneChoice | None = None
    measured: Mapping[str, Measured] = field(default_factory=dict)
    broken: Mapping[str, str] = field(default_factory=dict)
    confirmation: Confirmation | None = None
    unfinished: bool = False
    interrupted: bool = False
    out_of_time: str = ""

    def choose(self, chosen: StageOneChoice) -> None:
        """Go on with what the first stage chose."""
        self.chosen, self.selection = chosen, chosen.selection
