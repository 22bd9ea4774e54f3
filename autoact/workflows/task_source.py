"""What a workflow is asked to work on: a recipe's task by name, a whole configuration, or the user's own task."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

from autoact.config.command_words import CommandWords, of_python
from autoact.config.compose import settings as typed
from autoact.config.effective_keys import SEARCH, Given, at_rest, idle
from autoact.config.groups import options
from autoact.config.network_arguments import arguments_key, network_arguments, networks, with_arguments
from autoact.config.recipe_task import recipe_task
from autoact.config.schema import Config
from autoact.config.trusted_code import check_trusted, load_trusted
from autoact.config.user_keys import given as keys_given
from autoact.core.errors import AutoactError
from autoact.core.trial import Candidate
from autoact.core.value_holders import PlainData
from autoact.data.columns_of_search import as_searched
from autoact.data.prepare import prepare
from autoact.data.raw_table import TABULAR
from autoact.recommendation import Recommendation
from autoact.study.outcome.result import SearchResult
from autoact.tasks.objectives import declared
from autoact.tasks.task import Task
from autoact.training.trainer_arguments import check_trainer
from autoact.workflows.load_recommendation import load_recommendation
from autoact.workflows.searching.choose_network import choose_network
from autoact.workflows.searching.search_setup import PreparedSearch, RunSettings, prepare_search
from autoact.workflows.searching.unused_settings import idle_here

# What a task that is given as an object holds already.
_OF_TASKS = (
    *("task", "data", "recipe", "trainer", "metric", "metric_mode", "module", "module_arguments", "datamodule"),
    *("datamodule_arguments", "monitor", "mode", "callbacks", "production_model"),
)


@dataclass(frozen=True)
class Configured:
    """A task with all settings, and which of them the user set.

    Attributes:
        config: the whole configuration.
        own_task: the user's own task, made in Python; None where the configuration names the task.
        given: the keys that the user set.
        notes: a line for each key that was set and cannot act.
        command: what the command line said, kept in the study's folder.
        began: when the work began, by ``time.monotonic``: minutes count from there.
    """

    config: Config
    own_task: Task | None = None
    given: Sequence[Given] = ()
    notes: Sequence[str] = ()
    command: Mapping[str, object] | None = None
    began: float = field(default_factory=time.monotonic)

    @property
    def recipe(self) -> bool:
        """Whether autoact prepares the data and builds the network."""
        return self.own_task is None and self.config.module is None

    def task(self) -> Task:
        """The task: the user's own, or made as the configuration says.

        Raises:
            AutoactError: neither or both are named, or they do not fit.
        """
        return self.own_task or make_task(self.config)

    def recommendation(self, given: str | Path | Recommendation | SearchResult | None, needed: str) -> Recommendation:
        """The recommendation that a caller gives, or that the configuration names.

        Where neither names one, ``needed`` is said.

        Raises:
            AutoactError: both or neither name one, there is no such thing, or it is no recommendation.
        """
        named = self.config.recommendation
        if given is not None and named is not None:
            shown = given if isinstance(given, str | Path) else "the recommendation given"
            raise AutoactError(f"{shown} and recommendation={named} both name a recommendation: give one")
        source = named if given is None else given
        if source is None:
            raise AutoactError(needed)
        if isinstance(source, Recommendation):
            return source
        return load_recommendation(source, tracking_uri=self.config.tracking.uri, runs=self.config.output)

    def as_in_search(self, recommendation: Recommendation) -> Configured:
        """The network and the reading of a table's columns as in the search; a note of weights drawn otherwise.

        Arguments of the network that the user set here stay as set. The data of a module of the user's own, and data
        that are no table, are left as they are.

        Raises:
            AutoactError: the table cannot be found or read.
        """
        about, told = recommendation.about.get("data", {}), [*filter(None, [recommendation.drawn_otherwise()])]
        source = self if self.own_task is not None else self._with_network_of(about)
        config, told = source.config, [*source.notes, *told]
        if not self.recipe or config.task.name is None or config.task.kind not in TABULAR:
            return replace(source, notes=told)
        data, notes = as_searched(config.data, about.get("profile") or {})
        return replace(source, config=replace(config, data=data), notes=[*told, *notes])

    def _with_network_of(self, about: PlainData) -> Configured:
        """The same with the arguments of the search's network, beside those that the user set."""
        key, now, then = arguments_key(self.config), network_arguments(self.config), about.get("arguments") or {}
        recipe, module = self.config.recipe.module, self.config.module
        if (recipe != about.get("recipe")) if module is None else (module != about.get("module")):
            return self
        said = [one.text for one in self.given if one.key == key and not one.file]
        mine = {name: value for name, value in now.items() if any(re.search(rf"\b{name}\b", one) for one in said)}
        taken = {name: value for name, value in then.items() if name not in mine and now.get(name) != value}
        other = {name: value for name, value in mine.items() if then.get(name, value) != value}
        notes = []
        if taken:
            shown = ", ".join(
                f"{name}={value}{f' (not {now[name]}, as configured here)' if name in now else ''}"
                for name, value in taken.items()
            )
            notes.append(f"the network is that of the search, as the recommendation says: {shown}")
        if other:
            shown = ", ".join(f"{name}={value} (there {then[name]})" for name, value in other.items())
            notes.append(f"{key} makes another network than that of the search: {shown}")
        return replace(self, config=with_arguments(self.config, taken), notes=[*self.notes, *notes])


# What says a task: what holds its data and network, and whose code may run for them.
_OF_LOADED = (*_OF_TASKS, "trust", "plugins")

# How every workflow lets its task be named.
TaskSource: TypeAlias = str | Config | Task | Configured


def configured(task: TaskSource | None, overrides: Sequence[str] = (), verb: str = SEARCH) -> Configured:
    """What a workflow is asked to work on.

    Args:
        task: the name of a recipe's task (``"churn"``), a whole configuration, or a task of the user's own
            (``autoact.lightning_task``); None: the overrides name it (``"module=my_pkg.models:Net"``).
        overrides: settings as on the command line, such as ``"data.path=new.csv"``.
        verb: which workflow reads it: others leave other keys unread.

    Raises:
        AutoactError: a key or value that does not exist, or a key that cannot act.

    Example:
        >>> configured("churn", ["search.trials=20"]).config.search.trials
        20
        >>> configured("chrun")
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: unknown task 'chrun': did you mean churn...
    """
    if isinstance(task, Configured):
        return task
    if isinstance(task, Config):
        if overrides:
            raise AutoactError("overrides have no effect beside a whole Config: set its fields instead")
        # What bounds trainings was set by the caller, as by a word.
        return Configured(task, given=[Given("trainer", f"trainer.{name}=") for name in task.trainer])
    if task is None or isinstance(task, str):
        return from_words(of_python(task, overrides), verb)
    if not isinstance(task, Task):
        given = f"the class {task.__name__}" if isinstance(task, type) else f"a {type(task).__name__}"
        raise AutoactError(f"task is {given}: give a task's name, an autoact.Config, or autoact.lightning_task(...)")
    words = of_python(None, overrides)
    config, keys = typed(words.config()), keys_given(words.overrides)
    for one in keys:
        if one.key.partition(".")[0] in _OF_TASKS:
            raise AutoactError(f"{one.text} has no effect: the task is an object, which holds its own data and model")
    # What a recipe alone reads cannot act beside the user's own task either.
    return Configured(config, task, keys, idle(keys, replace(config, module=task.name), verb))


def from_words(words: CommandWords, verb: str, said: CommandWords | None = None) -> Configured:
    """What words like those of the command line ask for; see ``CommandWords.settings``."""
    config, keys, notes = words.settings(verb, said)
    return Configured(config, None, keys, notes, words.command())


def make_task(config: Config) -> Task:
    """The task that a configuration names: a recipe's, or the user's own module's.

    Raises:
        AutoactError: neither or both are named, or they do not fit.
    """
    return make_tasks(config)[0]


def make_tasks(config: Config, others: Sequence[Mapping[str, object]] = ()) -> list[Task]:
    """The task that a configuration names, and the same with other arguments of the network; data are read once.

    Raises:
        AutoactError: neither a task nor a module is named, or both are, or they do not fit.
    """
    check_trainer(config.trainer)
    make = _task_maker(config, several=bool(others))
    tasks = [make(config)]
    for one in others:
        try:
            tasks.append(make(with_arguments(config, one)))
        except AutoactError as error:
            shown = ", ".join(f"{name}={value}" for name, value in one.items())
            raise AutoactError(f"space.arguments with {shown}: {error}") from error
    return tasks


def _task_maker(config: Config, *, several: bool) -> Callable[[Config], Task]:
    if config.module is None:
        if config.task.name is None:
            tasks = ", ".join(options("task"))
            raise AutoactError(f"name a task (task=NAME: {tasks}) or your own module=package.module:Class")
        data = prepare(config.data, config.task.kind) if several else None
        return partial(recipe_task, prepared=data)
    from autoact.user_code.from_references import own_task

    return own_task


def load_task(task: str | None = None, *, overrides: Sequence[str] = ()) -> Task:
    """The task that a search of the same words works on: fresh networks, data, metric; its test part stays sealed.

    Args:
        task: a recipe's task by name; the overrides name it unless given.
        overrides: settings as on the command line, such as ``"recipe.arguments.width=128"``.

    Raises:
        AutoactError: a key or value that does not exist, or that has no effect here; data that cannot be read.

    Example:
        >>> task = load_task("diabetes", overrides=["data.max_rows=100"])
        >>> network, data = task.make_module(), task.make_datamodule(0)
        >>> next(iter(data.train_dataloader()))[0].shape
        torch.Size([32, 10])
        >>> task.monitor, task.mode
        ('val_rmse', 'min')
    """
    source = configured(task, overrides)
    for one in source.given:
        if one.key.partition(".")[0] not in _OF_LOADED:
            raise AutoactError(f"{one.text} has no effect: a task is data, network and metric, and nothing is searched")
    return source.task()


def prepared_search(
    source: Configured,
    included: Sequence[Candidate] = (),
    *,
    say: Callable[[str], None] = lambda what: None,
    train: bool = True,
) -> PreparedSearch:
    """A search that is ready to run, with a note for each setting that cannot act on this model, data or device.

    The candidates ``included`` are tried first. Where ``space.arguments`` names networks to choose from, one is chosen
    first, and ``say`` takes a line on what takes a while; with ``train=False`` nothing is trained for that.
    """
    config = source.config
    for reference in config.objectives.own:
        _check_used(load_trusted(reference, "objectives.own", config.trust), reference, config.objectives.use)
    sampler = config.search.sampler
    if ("." in sampler or ":" in sampler) and not sampler.startswith("optuna."):
        check_trusted(sampler, "search.sampler", config.trust)
    settings = RunSettings(**vars(config), included=tuple(included), command=source.command, began=source.began)
    if config.space.arguments:
        prepared = _with_network_chosen(source, settings, say, train)
    else:
        prepared = prepare_search(source.task(), settings)
    asked = [one for one in source.given if not all(at_rest(config, key) for key in one.keys or (one.key,))]
    return replace(prepared, notes=(*prepared.notes, *source.notes, *idle_here(asked, prepared)))


def _with_network_chosen(
    source: Configured, settings: RunSettings, say: Callable[[str], None], train: bool
) -> PreparedSearch:
    """A search of the network that is chosen among those of ``space.arguments``."""
    if source.own_task is not None:
        raise AutoactError(
            "space.arguments has no effect: the task is an object, which builds its own network; name it by "
            "module=package.module:Class"
        )
    every = networks(source.config)
    tasks = make_tasks(source.config, every[1:])
    choice = choose_network(tasks, every, source.config, say, began=source.began, train=train)
    config = with_arguments(source.config, every[choice.index]) if choice.index else source.config
    settings = replace(settings, recipe=config.recipe, module_arguments=config.module_arguments)
    prepared = prepare_search(tasks[choice.index], settings)
    return replace(prepared, networks=choice, notes=(choice.note, *prepared.notes))


def _check_used(function: object, reference: str, use: Sequence[str]) -> None:
    """Refuse an objective of the user's own that is declared and not traded."""
    names = declared(function)
    if names and not set(names) & set(use):
        raise AutoactError(
            f"objectives.own={reference} has no effect: objectives.use does not name it "
            f"(objectives.use=[{','.join([*use, *names])}])"
        )
