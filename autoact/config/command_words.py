"""What a command says of a configuration: the words, the folders of own groups, the primary configuration."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from autoact.config.compose import compose
from autoact.config.compose import settings as typed
from autoact.config.effective_keys import Given, idle
from autoact.config.key_names import renamed
from autoact.config.schema import Config
from autoact.config.user_keys import given
from autoact.core.errors import AutoactError, unknown

if TYPE_CHECKING:
    from omegaconf import DictConfig

# In the folder of a study: what its own command said.
FILE = "command.json"
PRIMARY = "config"


@dataclass
class CommandWords:
    """What a command says.

    Attributes:
        overrides: ``key=value`` and the like.
        config_dirs: folders of the user's own groups.
        config_name: the primary configuration; ``config`` unless given.
    """

    overrides: list[str] = field(default_factory=list)
    config_dirs: list[str] = field(default_factory=list)
    config_name: str | None = None

    def command(self) -> dict[str, object]:
        """What was said, for the same search to be taken up again from anywhere."""
        return {
            "overrides": self.overrides,
            "config_dirs": [str(Path(folder).resolve()) for folder in self.config_dirs],
            "config_name": self.config_name or PRIMARY,
        }

    def config(self) -> DictConfig:
        """The composed configuration."""
        return compose(self.overrides, self.config_dirs, self.config_name or PRIMARY)

    def settings(self, verb: str, said: CommandWords | None = None) -> tuple[Config, list[Given], list[str]]:
        """The typed configuration, the keys that the user set, and a line for each of them that cannot act.

        Where these words hold an earlier command's too, ``said`` is what is said now.

        Raises:
            AutoactError: a key or value that does not exist, or a key that cannot act in a search.
        """
        config, mine = typed(self.config()), said or self
        keys = given(mine.overrides, mine.config_dirs, self.config_name or PRIMARY)
        return config, keys, idle(keys, config, verb)

    def after_study(self, study: str) -> CommandWords:
        """The words of the command that made a study in this output folder, followed by these.

        Raises:
            AutoactError: there is no such study, or no command made it.
        """
        outputs = [word.partition("=")[2] for word in self.overrides if word.startswith("output=")]
        output = Path(outputs[-1] if outputs else Config().output)
        file = output / study / FILE
        if not file.is_file() and file.parent.is_dir():
            raise AutoactError(
                f"the study {study} was made in Python, from objects that no command names: give its task, "
                "autoact.confirm(study, task, overrides=[...])"
            )
        if not file.is_file() and (study.startswith(("models:/", "runs:/")) or study.endswith((".yaml", ".yml"))):
            raise AutoactError(f"{study} is no study: a recommendation is confirmed with recommendation={study}")
        if not file.is_file():
            studies = [found.parent.name for found in sorted(output.glob(f"*/{FILE}"))]
            raise unknown("study", study, studies, advice=f"in {output}; name another folder with output=DIR")
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise AutoactError(f"cannot read {str(file)!r}: {error}") from error
        return CommandWords(
            [*map(renamed, found["overrides"]), *self.overrides],
            [*self.config_dirs, *found["config_dirs"]],
            self.config_name or found["config_name"],
        )


def of_python(task: str | None, overrides: Sequence[str], *more: str) -> CommandWords:
    """The words for what a call names.

    The call's own arguments say ``more`` words.

    Raises:
        AutoactError: ``overrides`` is no list of texts.

    Example:
        >>> of_python("churn", ["search.trials=20"]).overrides
        ['task=churn', 'search.trials=20']
    """
    if isinstance(overrides, str):
        raise AutoactError(f"overrides={overrides!r} must be a list: overrides=[{overrides!r}]")
    if not isinstance(overrides, Sequence) or not all(isinstance(word, str) for word in overrides):
        raise AutoactError(f"overrides={overrides!r} must be a list of texts, such as overrides=['data.path=x.csv']")
    return CommandWords([*([f"task={task}"] if task else []), *map(renamed, [*overrides, *more])])
