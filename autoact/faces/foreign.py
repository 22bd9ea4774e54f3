"""The user's own LightningModule and LightningDataModule on the same road, untouched."""

from __future__ import annotations

import copy
import functools
import hashlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities import CombinedLoader
from lightning.pytorch.utilities.model_helpers import is_overridden

from autoact.core.errors import AutoactError, SealedError, first_line
from autoact.data.first_batch import first_of, prepared
from autoact.faces.adopted import adopted
from autoact.faces.batch_axis import input_maker
from autoact.sites.run import tensors_in
from autoact.tasks.metrics import Metric
from autoact.tasks.task import Task
from autoact.timing.measure import call_model
from autoact.training.quiet import quiet_lightning

SEALED_NOTHING = "there is no sealed data, so nothing can be confirmed and nothing is recommended"
NO_TEST = f"the datamodule has no test_dataloader: {SEALED_NOTHING}"
# Words in the names of values of which less is better, and of which more is.
_LESS, _MORE = (
    re.compile(rf"(^|[^a-z])({words})([^a-z]|$)", re.IGNORECASE)
    for words in (
        "loss|error|err|mse|rmse|mae|mape|nll|perplexity|ppl|bce|wer|cer|brier",
        "acc|accuracy|auc|auroc|f1|f1score|precision|recall|r2|iou|miou|dice|bleu|map|ndcg|psnr|ssim",
    )
)


def lightning_task(
    make_module: Callable[[], Any],
    datamodule: lightning.LightningDataModule,
    *,
    monitor: str,
    mode: str,
    name: str | None = None,
    metric: Metric | None = None,
    trainer: Mapping[str, Any] | None = None,
    make_callbacks: Callable[[], Sequence[Any]] = tuple,
    seed: int = 0,
) -> Task:
    """The task of a user's own module.

    Args:
        make_module: returns a fresh module, of ``lightning`` or ``pytorch_lightning``.
        datamodule: is set up once; all trials share its split. ``test_dataloader`` raises until the final check.
        monitor: validation value that the module logs and that decides.
        mode: ``max`` or ``min``: which values of it are better.
        name: of the study; the module's class name unless given.
        metric: computes ``monitor`` from predictions instead.
        trainer: arguments of ``lightning.Trainer``.
        make_callbacks: returns fresh callbacks for one training.
        seed: under which the datamodule is set up.

    Raises:
        AutoactError: ``mode`` is neither, or the module cannot be run on a batch.
    """
    datamodule = adopted(datamodule, lightning.LightningDataModule)

    def make() -> Any:
        return adopted(make_module(), lightning.LightningModule)

    if not isinstance(datamodule, lightning.LightningDataModule):
        raise AutoactError(f"the datamodule is a {type(datamodule).__name__}, not a lightning.LightningDataModule")
    if mode not in ("max", "min"):
        raise AutoactError(f"mode={mode!r} says which values of {monitor} are better. Allowed: max, min")
    with quiet_lightning():
        lightning.seed_everything(seed, verbose=False)
        held = prepared(hold_still(datamodule))
        loader = held.train_dataloader()
        batch = first_of(loader)
        module = make()
        if not isinstance(module, lightning.LightningModule):
            raise AutoactError(f"make_module returns a {type(module).__name__}, not a lightning.LightningModule")
        module.configure_model()
        example, pick = _example(module, batch)
        if not any(True for _ in tensors_in(example)):
            raise AutoactError("the batch holds no tensor: autoact times and searches modules that take tensors")
        make_input = input_maker(functools.partial(_run, module), example, pick, loader, type(module).__name__)
    untested = _why_untested(held, datamodule)
    kind, digest = type(module), _digest(batch)
    return Task(
        name=name or kind.__name__,
        make_module=make,
        make_datamodule=lambda _: held,
        monitor=monitor,
        mode=mode,
        quality_unit=metric.title if metric else monitor.removeprefix("val_"),
        example_input=example,
        make_input=make_input,
        metric=metric,
        open_test=None if untested else held.open_test,
        trainer=dict(trainer or {}),
        make_callbacks=make_callbacks,
        identity={
            "module": f"{kind.__module__}:{kind.__qualname__}",
            "source": _source(kind),
            "weights": [[key, list(value.shape)] for key, value in module.state_dict().items()],
            "data": digest,
            "datamodule": f"{type(datamodule).__module__}:{type(datamodule).__qualname__}",
        },
        facts={
            "data": type(datamodule).__name__,
            "summary": f"{type(datamodule).__name__} with {kind.__name__}, {_described(batch)}",
            "fingerprint": digest,
            "recipe": f"{kind.__module__}:{kind.__qualname__}",
            "notes": _doubtful(monitor, mode),
        },
        warning=untested,
    )


def _described(batch: Any) -> str:
    """A batch in words."""
    first = next((tensor for tensor in tensors_in(batch) if tensor.ndim), None)
    return "" if first is None else f"batches of {'x'.join(map(str, first.shape))}"


def _doubtful(monitor: str, mode: str) -> tuple[str, ...]:
    """A question about a mode that is unusual for values of this name.

    Example:
        >>> _doubtful("val_loss", "max")
        ("is mode='max' meant? Of values called 'val_loss' the smaller ones are usually better: mode='min'",)
        >>> _doubtful("val_loss", "min"), _doubtful("elbo", "max")
        ((), ())
    """
    less, more = bool(_LESS.search(monitor)), bool(_MORE.search(monitor))
    usual = {"max": ("smaller", "min", less and not more), "min": ("larger", "max", more and not less)}
    which, other, odd = usual[mode]
    if not odd:
        return ()
    return (
        f"is mode={mode!r} meant? Of values called {monitor!r} the {which} ones are usually better: mode={other!r}",
    )


def _why_untested(held: Any, datamodule: lightning.LightningDataModule) -> str:
    """Why the final check could not use the test rows; empty where it can. Their loader is made, no row is read."""
    if not has_test(datamodule):
        return NO_TEST
    name = f"{type(datamodule).__name__}.test_dataloader"
    try:
        made = held.open_test("to count its loaders").val_dataloader()
    except Exception as error:  # whatever the user's code raises
        return f"{name} raises {type(error).__name__} ({first_line(error)}): {SEALED_NOTHING}"
    if made is None:
        return f"{name} returns None: {SEALED_NOTHING}"
    tested, validated = loaders_in(made), loaders_in(held.val_dataloader())
    if tested != validated:
        return (
            f"{name} returns {tested} loaders and val_dataloader {validated}, so their values have other names: "
            f"{SEALED_NOTHING} (return one)"
        )
    return ""


def loaders_in(made: Any) -> int:
    """How many loaders a datamodule's method returned.

    Example:
        >>> loaders_in([["a", "b"]]), loaders_in({"x": "a", "y": "b"}), loaders_in([torch.zeros(1)])
        (1, 2, 1)
    """
    made = made.iterables if isinstance(made, CombinedLoader) else made
    return len(made) if isinstance(made, (list, tuple, Mapping)) else 1


def has_test(datamodule: lightning.LightningDataModule) -> bool:
    """Whether the datamodule has test rows."""
    return is_overridden("test_dataloader", datamodule, parent=lightning.LightningDataModule)


def hold_still(datamodule: lightning.LightningDataModule) -> Any:
    """A copy that is set up once, so that all trials share one split, and whose test part is sealed.

    Its ``open_test(reason)`` lifts the seal and returns a copy whose validation rows are the test rows.
    """
    held: Any = copy.copy(datamodule)
    done: set[str] = set()

    @functools.wraps(datamodule.setup)
    def setup(stage: str | None = None) -> None:
        # All stages at once, before anything is trained: a later call could draw another split, in which rows that
        # were trained on come back as test rows.
        if "setup" not in done:
            done.add("setup")
            for each in ("fit", "test") if has_test(datamodule) else ("fit",):
                type(datamodule).setup(held, each)

    @functools.wraps(datamodule.prepare_data)
    def prepare_data() -> None:
        if "prepare" not in done:
            done.add("prepare")
            type(datamodule).prepare_data(held)

    @functools.wraps(datamodule.test_dataloader)
    def sealed() -> Any:
        raise SealedError("the test part is sealed: only the final check opens it")

    def open_test(reason: str) -> Any:
        opened: Any = copy.copy(held)

        def as_validated() -> Any:
            # One loader stands in each place of several: the values have the names, and are computed by the same code.
            made = type(datamodule).test_dataloader(held)
            several = loaders_in(held.val_dataloader())
            return [made] * several if several > 1 and loaders_in(made) == 1 and made is not None else made

        opened.test_dataloader = opened.val_dataloader = as_validated
        functools.update_wrapper(opened.val_dataloader, type(datamodule).test_dataloader)
        functools.update_wrapper(opened.test_dataloader, type(datamodule).test_dataloader)
        opened.openings = [*getattr(held, "openings", []), reason]
        return opened

    held.setup, held.prepare_data, held.test_dataloader, held.open_test = setup, prepare_data, sealed, open_test
    return held


def _example(module: lightning.LightningModule, batch: Any) -> tuple[Any, Callable[[Any], Any]]:
    """What ``module(...)`` accepts, found in its ``example_input_array`` or in a batch, and how to find it in others.

    Raises:
        AutoactError: nothing in the batch fits.
    """
    problem: Exception | None = None
    given = module.example_input_array
    if given is not None:
        given = tuple(given) if isinstance(given, list) else given
        try:
            _run(module, given)
        except Exception as error:
            problem = error
    for number, option in enumerate(_options(module, batch)):
        try:
            _run(module, option)
        except Exception as error:  # whatever the user's forward raises means: not this part of the batch
            problem = problem or error
            continue
        example = option if given is None or problem is not None else given
        return example, lambda other, number=number: _options(module, other)[number]
    if given is not None and problem is None:
        return given, lambda other: other
    cause = f"{type(problem).__name__}: {first_line(problem) if problem is not None and str(problem) else ''}"
    raise AutoactError(
        f"{type(module).__name__} cannot be called on a batch of the datamodule ({cause}): define forward(x) for "
        "batches (x, y), or set self.example_input_array"
    )


def _run(module: lightning.LightningModule, example: Any) -> Any:
    """The module's result, in evaluation mode and without gradients; its modes are put back."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        with torch.no_grad():
            return call_model(module, example)
    finally:
        for part, mode in modes:
            part.training = mode


def _options(module: lightning.LightningModule, batch: Any) -> list[Any]:
    """The ways to hand a batch, or a part of it, to a module, the likeliest first; the same for all batches."""
    if isinstance(batch, (tuple, list)):
        return [*_given_first(batch[0]), tuple(batch[:-1]), tuple(batch)]
    if not isinstance(batch, Mapping):
        return [(batch,)]
    named = {key: batch[key] for key in inspect.signature(module.forward).parameters if key in batch}
    single = [value for value in batch.values() if isinstance(value, torch.Tensor)]
    return [(batch,), dict(batch), *([named] if named else []), *single]


def _given_first(first: Any) -> list[Any]:
    """The ways to hand what stands first in a batch to a module: itself, or what it holds as arguments."""
    if isinstance(first, torch.Tensor):
        return [first]
    if isinstance(first, Mapping):
        return [(first,), dict(first)]
    return [(first,), tuple(first)] if isinstance(first, (tuple, list)) else [(first,)]


def _digest(batch: Any) -> str:
    """A hash of the first batch's content."""
    found = hashlib.sha256()
    for tensor in tensors_in(batch):
        found.update(str(tuple(tensor.shape)).encode())
        found.update(tensor.detach().cpu().double().numpy().tobytes())
    return found.hexdigest()


def _source(kind: type) -> str:
    """A hash of the file that defines a class: a changed model is another study."""
    try:
        text = inspect.getsource(inspect.getmodule(kind) or kind)
    except (OSError, TypeError):
        return ""  # defined in an interactive session
    return hashlib.sha256(text.encode()).hexdigest()
