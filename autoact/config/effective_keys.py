"""When a key can act: a key that was set and cannot change anything is refused, or said to be idle.

One table says it, for what the settings alone tell; ``autoact/workflows/searching/unused_settings.py`` adds what only
the model, its data and the device tell. A key that no rule names always acts. Values of the packaged groups
are never asked about: they are there for users who choose the group.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from autoact.config.schema import Config
from autoact.core.errors import AutoactError
from autoact.data.settings import KINDS, POINTS, DataSettings

SEARCH, AGAIN, ELSEWHERE, CHECK, TRAIN = "search", "confirm STUDY", "confirm", "check", "train"
TABLES = ("classification", "regression")
Why = TypeVar("Why")


@dataclass(frozen=True)
class Given:
    """A key that the user set.

    Attributes:
        key: dotted.
        text: as it stood: ``search.trials=20``; for a file, the key and the file.
        file: whether a file of the user's own sets it: files are shared by runs, so it is said, and not refused.
        keys: the keys that this one sets: itself, or for a group's choice those of the choice.
    """

    key: str
    text: str
    file: bool = False
    keys: tuple[str, ...] = ()


# --- what each verb leaves unread: pattern -> why, and what reads it

_READS_RECOMMENDATIONS = "confirm, check and train read a recommendation"
_BUDGET = ("trials", "minutes", "sampler", "sampler_options", "batch", "refine", "tuning", "rungs.*")
_LIMITS = ("use", "own", "latency.*", "max_cost", "min_quality")
_NOT_TRAIN = {"train.*": "it is for python -m autoact train"}


def _each(section: str, names: Sequence[str], why: Why) -> dict[str, Why]:
    """The same reason, or rule, for several keys of a section."""
    return {f"{section}.{name}": why for name in names}


UNREAD: dict[str, dict[str, str]] = {
    SEARCH: {
        **_NOT_TRAIN,
        "recommendation": f"a search writes one ({_READS_RECOMMENDATIONS})",
        "policy": "a search rules on every policy (check, train and show choose one)",
    },
    AGAIN: {
        **_NOT_TRAIN,
        **_each("search", _BUDGET, "the trials are those of the study"),
        "recommendation": "the study holds its own candidates (without STUDY, confirm reads a recommendation)",
        "policy": "every policy is ruled on",
    },
    ELSEWHERE: {
        **_NOT_TRAIN,
        **_each("search", _BUDGET, "what the recommendation holds is tried, and nothing else"),
        "space.candidates": "what the recommendation holds is tried, and nothing else",
        "space.parameters": "what the recommendation holds is tried, and nothing else",
        "space.normalisations": "what the recommendation holds is tried, and nothing else",
        "space.arguments": "the network is that of the recommendation",
        "policy": "every policy that the recommendation holds is confirmed",
    },
    CHECK: {
        **_NOT_TRAIN,
        "space.*": "what the recommendation holds is measured, and nothing is searched",
        **_each("objectives", _LIMITS, "the tolerances judge (tolerance.quality=, tolerance.latency=, ...)"),
        **_each("search", _BUDGET, "nothing is searched"),
        "confirm.*": "check trains under as many fresh seeds as seeds=N says",
        "production_model": "the recommendation is compared with its baseline",
        "data.groups": "check compares all rows together (the final check of a search scores groups)",
        **_each("tracking", ("backend", "experiment", "children", "parent_run_id"), "check logs nothing"),
    },
    TRAIN: {
        "space.*": "what the recommendation holds is trained, and nothing is searched",
        "objectives.*": "nothing is traded: policy=NAME chooses",
        **_each("search", (*_BUDGET, "threads", "storage"), "one training, and nothing is searched"),
        "confirm.*": "nothing is confirmed: the test part stays sealed",
        "engine.*": "one training, in this process",
        **_each(
            "hardware",
            ("name", "price_*", "currency", "threads", "*_batch", "rounds", "min_ms"),
            "nothing is timed; only hardware.device is read",
        ),
        "production_model": "nothing is compared",
        "data.groups": "nothing is scored on test rows",
        **_each("tracking", ("children", "parent_run_id"), "there is one run, of this training"),
    },
}

# --- what other settings take the effect from: key pattern -> the reason, empty where it acts


def _own_module(config: Config) -> str:
    return "" if config.module else "it is for a module of your own, and module=package.module:Class is not given"


def _recipe(config: Config) -> str:
    return "" if config.module is None else "with module=... your own module and datamodule decide"


def _source(*sources: str) -> Callable[[Config], str]:
    def rule(config: Config) -> str:
        source = config.data.source
        return "" if source in sources else f"it is for data.source={' or '.join(sources)}, and it is {source}"

    return rule


def _kind_of(config: Config) -> str:
    """The kind of autoact's own that reads the data settings; an unknown kind is refused later."""
    kind = KINDS.get(config.task.kind)
    return config.task.kind if kind is None else kind.like


def _kind(*kinds: str) -> Callable[[Config], str]:
    def rule(config: Config) -> str:
        kind = _kind_of(config)
        return "" if kind in kinds else f"it is for {' and '.join(kinds)}, and task.kind is {kind}"

    return rule


def _of_tables(config: Config) -> str:
    return _columns(config) if config.task.kind in POINTS else _kind(*TABLES)(config)


def _columns(config: Config) -> str:
    """For what names or reads columns of a table."""
    data = config.data
    digits = data.source == "sklearn" and data.name == "digits"
    if config.task.kind in POINTS:
        return "the points of this task have no columns"
    if data.source == "npz" or (_kind_of(config) == "sequence_classification" and digits):
        return "these sequences are arrays, without columns or text"
    return ""


def _learnt_columns(config: Config) -> str:
    """For what says of columns whether and how they are learnt from."""
    if _kind_of(config) == "forecast":
        return "a forecast reads the columns of data.series and data.known alone"
    return _columns(config)


def _target(config: Config) -> str:
    if _kind_of(config) == "forecast":
        return "a forecast predicts the columns of data.series"
    return _columns(config)


def _time_format(config: Config) -> str:
    if config.data.time or (_kind_of(config) == "forecast" and config.data.source == "simulated"):
        return ""
    return "it says how the dates of data.time are written, and data.time is not set"


def _test_share(config: Config) -> str:
    if config.data.test_path is not None:
        return "the file of data.test_path is the test part"
    return f"the official test file of {config.data.name} is the test part" if config.data.has_test_file else ""


def _data_seed(config: Config) -> str:
    from autoact.data.preparation.split import split_name

    data = config.data
    if config.module is not None or data.source == "simulated" or split_name(data, _kind_of(config)) != "time":
        return ""
    return "a split by time draws nothing"


def _scaling(config: Config) -> str:
    kind = _kind_of(config)
    if config.task.kind in POINTS:
        return "points keep their coordinates"
    if kind == "forecast":
        return "forecasts are always standardised"
    if kind == "sequence_classification" and config.data.scaling == "quantile":
        return "sequences are scaled by channel: data.scaling=standard or none"
    return ""


def _groups(config: Config) -> str:
    return _kind(*TABLES)(config) or _confirmed(config)


def _priced(config: Config) -> str:
    return "" if config.hardware.price_per_hour is not None else "this hardware has no price (hardware.price_per_hour)"


def _rungs(config: Config) -> str:
    if "quality" not in config.objectives.use:
        return "candidates are compared early by their quality, which objectives.use does not name"
    return ""


def _rungs_on(config: Config) -> str:
    return _rungs(config) if config.search.rungs.enabled else "there are no early stops with search.rungs.enabled=false"


def _rungs_enabled(config: Config) -> str:
    return _rungs(config) if config.search.rungs.enabled else ""


def _tuning(config: Config) -> str:
    if config.space.learning_rate or config.space.weight_decay or config.space.dropout:
        return ""
    return "no training setting is searched (space.learning_rate, space.weight_decay and space.dropout are empty)"


def _confirmed(config: Config) -> str:
    return "" if config.confirm.seeds else "there is no final check (confirm.seeds=0)"


def _references(config: Config) -> str:
    """Turning them off asks for nothing where there are none."""
    return _recipe(config) if config.confirm.references else ""


def _tracked(config: Config) -> str:
    return "" if config.tracking.backend != "none" else "nothing is tracked (tracking.backend=none)"


def _store(config: Config) -> str:
    read = [name or "" for name in (config.recommendation, config.production_model)]
    return "" if any(name.startswith(("models:/", "runs:/")) for name in read) else _tracked(config)


def _task_metric(config: Config) -> str:
    return _recipe(config) or ("" if config.metric is None else f"metric={config.metric} decides instead")


def _metric_mode(config: Config) -> str:
    if config.metric is None and config.module is not None:
        return "it is the direction of metric=package.module:function, which is not given; monitor's is mode"
    return ""


def _mode(config: Config) -> str:
    if config.module is None:
        return f"{_own_module(config)}; the direction of a metric of your own is metric_mode"
    return ""


def _trust(config: Config) -> str:
    named = [config.module, config.datamodule, *config.callbacks, *config.objectives.own, *config.plugins]
    named += [name for name in (config.metric, config.task.metric) if ":" in (name or "")]
    named += [name for name in (config.search.sampler,) if "." in name or ":" in name]
    named += [name for name in [config.recipe.module] if not name.startswith("autoact.")]
    return "" if any(named) else "nothing is imported by reference"


def _patience_of_train(config: Config) -> str:
    rows = config.train.rows or ("train+validation" if config.module is None else "train")
    if rows == "train":
        return ""
    return "a training on train+validation rows has no early stopping; train.rows=train has"


RULES: tuple[tuple[str, Callable[[Config], str]], ...] = (
    *dict.fromkeys(
        ("module_arguments", "datamodule", "datamodule_arguments", "monitor", "callbacks"), _own_module
    ).items(),
    ("mode", _mode),
    ("task.kind", _recipe),
    ("task.metric", _task_metric),
    ("task.threshold", _recipe),
    ("recipe.*", _recipe),
    ("data.seed", _data_seed),
    *_each("data", [one.name for one in fields(DataSettings) if one.name != "seed"], _recipe).items(),
    ("data.path", _source("csv", "parquet", "npz", "image")),
    ("data.test_path", _source("csv", "parquet")),
    *_each("data", ("openml_id", "cache_dir"), _source("openml")).items(),
    *_each("data", ("delimiter", "header", "names", "comment"), _source("csv")).items(),
    *_each("data", ("missing", "strip"), _columns).items(),
    ("data.target", _target),
    *_each("data", ("drop", "numeric", "categorical"), _learnt_columns).items(),
    ("data.time_format", _time_format),
    ("data.test", _test_share),
    ("data.scaling", _scaling),
    *_each("data", ("series", "known", "history", "horizon"), _kind("forecast")).items(),
    *_each("data", ("positive", "label_strip"), _kind("classification", "sequence_classification")).items(),
    *_each("data", ("min_frequency", "max_categories"), _of_tables).items(),
    ("data.season", _kind("forecast")),
    ("data.groups", _groups),
    ("objectives.max_cost", _priced),
    *_each("hardware", ("currency", "price_date", "price_source", "throughput_batch"), _priced).items(),
    ("search.rungs.enabled", _rungs_enabled),
    *_each("search.rungs", ("reduction", "first"), _rungs_on).items(),
    ("search.tuning", _tuning),
    *_each("confirm", ("finalists", "early", "confidence", "power"), _confirmed).items(),
    ("confirm.references", _references),
    ("tracking.uri", _store),
    *_each("tracking", ("experiment", "children", "parent_run_id"), _tracked).items(),
    ("metric_mode", _metric_mode),
    ("trust", _trust),
)
# Keys that may be set without effect, which is said: they do no harm, and ask for nothing.
SAID = ("trust",)


def why_unread(key: str, verb: str) -> str:
    """Why a verb does not read a key; empty where it does.

    Example:
        >>> why_unread("train.rows", "search")
        'it is for python -m autoact train'
    """
    return next((why for pattern, why in UNREAD.get(verb, {}).items() if fnmatchcase(key, pattern)), "")


def why_idle(key: str, config: Config, verb: str = SEARCH) -> str:
    """Why a key cannot act beside the other settings; empty where it can.

    Example:
        >>> why_idle("data.openml_id", Config())
        'it is for data.source=openml, and it is csv'
    """
    if verb == TRAIN and key == "search.patience" and (reason := _patience_of_train(config)):
        return reason
    return next((why for pattern, rule in RULES if fnmatchcase(key, pattern) and (why := rule(config))), "")


def idle(given: Sequence[Given], config: Config, verb: str = SEARCH) -> list[str]:
    """A line for each key that cannot act in this run, and that a file, a word for another verb, or no harm excuses.

    Raises:
        AutoactError: a key of the command line cannot act; says what it would need.

    Example:
        >>> from autoact.config.schema import DataSettings
        >>> idle([Given("data.openml_id", "data.openml_id=31")], Config(data=DataSettings(openml_id=31)))
        Traceback (most recent call last):
        ...
        autoact.core.errors.AutoactError: data.openml_id=31 has no effect: it is for data.source=openml, and it is csv
    """
    lines = []
    for one in given:
        keys = [key for key in one.keys or (one.key,) if not at_rest(config, key)]
        unread = [why_unread(key, verb) for key in keys]
        if keys and all(unread):
            if one.file:
                continue  # a file serves every verb
            line = f"{one.text} has no effect in {verb}: {unread[0]}"
            if verb == SEARCH:
                raise AutoactError(line)
            lines.append(line)  # the settings of a search are handed on to the verbs that follow it
            continue
        if instead := _outdone(one, given):
            raise AutoactError(f"{one.text} has no effect: {instead} sets all that it does: leave one of them out")
        reasons = [why or why_idle(key, config, verb) for key, why in zip(keys, unread, strict=True)]
        if keys and all(reasons):
            line = f"{one.text} has no effect: {reasons[0]}"
            if not one.file and one.key not in SAID:
                raise AutoactError(line)
            lines.append(line)
    return lines


def _outdone(choice: Given, given: Sequence[Given]) -> str:
    """The words of the command line that set every key of a group's choice again; empty where some key is left to it.

    ``default`` chooses nothing that would not stand there anyway.
    """
    if choice.file or not choice.keys or choice.text.endswith("=default"):
        return ""
    words = {one.key: one.text for one in given if not one.file and not one.keys}
    return " ".join(words[key] for key in choice.keys) if all(key in words for key in choice.keys) else ""


def at_rest(config: Config, key: str) -> bool:
    """Whether the value asks for nothing: null, or an empty list or tree, which is how most keys are without a word."""
    node: Any = config
    for part in key.split("."):
        node = node.get(part) if isinstance(node, Mapping) else getattr(node, part, None)
    return node is None or node == [] or node == {}
