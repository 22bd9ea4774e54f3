"""The task of a user's own LightningModule and LightningDataModule, which stay as they are."""

from __future__ import annotations

import copy
import functools
import hashlib
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.model_helpers import is_overridden

from autoact.core.errors import AutoactError, first_line
from autoact.core.value_holders import held_in
from autoact.data.foreign_datamodule import SealedDatamodule, first_of, prepared
from autoact.latency.model_call import call_model
from autoact.sites.tracing.dry_run import is_compiled, tensors_in
from autoact.tasks.metrics import Metric
from autoact.tasks.task import Task
from autoact.training.quiet_lightning import quiet_lightning
from autoact.training.trainer_arguments import check_trainer
from autoact.user_code.batch_axis import batch_axis, input_maker, samples_along
from autoact.user_code.callbacks import UNSEEN, callbacks_in, unseen
from autoact.user_code.dataloaders import check_steps, training_loader
from autoact.user_code.make_module import maker_of
from autoact.user_code.pytorch_lightning import adopted
from autoact.user_code.setup_trainer import unfitted
from autoact.user_code.step_arguments import given_by_step

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
    datamodule = adopted(copy.copy(datamodule), lightning.LightningDataModule)
    if not isinstance(datamodule, lightning.LightningDataModule):
        raise AutoactError(f"the datamodule is a {type(datamodule).__name__}, not a lightning.LightningDataModule")
    if mode not in ("max", "min"):
        raise AutoactError(f"mode={mode!r} says which values of {monitor} are better. Allowed: max, min")
    check_trainer(trainer or {})
    with quiet_lightning():
        lightning.seed_everything(seed, verbose=False)
        test = SealedDatamodule(datamodule, tensors_in)
        sealed = test.datamodule
        sealed.trainer = unfitted(make_module, trainer or {})  # as in fit, whose Trainer takes its place
        loader = training_loader(prepared(sealed), type(datamodule))
        check_steps(loader, trainer or {})
        batch = first_of(loader)
        make, problem = maker_of(make_module, sealed, trainer or {})
        module = make()
        _refuse_compiled(module)
        example, pick = _example(module, batch, problem)
        if not any(True for _ in tensors_in(example)):
            raise AutoactError("the batch holds no tensor: autoact times and searches modules that take tensors")
        run = functools.partial(_run, module)
        axis = batch_axis(run, example)
        make_input = input_maker(run, example, axis, pick, loader, type(module).__name__)
        if axis is not None and samples_along(example, axis) == 1:
            example = make_input(2)  # a graph made from one sample takes no other number of them
        untested = test.why_unusable()
        drawn = "" if untested else test.doubt()
    kind, digest, given = type(module), _digest(batch), trainer or {}
    dropped = [type(one).__name__ for one in callbacks_in(make_callbacks()) if unseen(one, given)]
    return Task(
        name=name or kind.__name__,
        make_module=make,
        make_datamodule=lambda _: sealed,
        monitor=monitor,
        mode=mode,
        quality_unit=metric.title if metric else monitor.removeprefix("val_"),
        example_input=example,
        make_input=make_input,
        metric=metric,
        test=None if untested else test,
        trainer=dict(trainer or {}),
        make_callbacks=lambda: [one for one in callbacks_in(make_callbacks()) if not unseen(one, given)],
        identity={
            "module": f"{kind.__module__}:{kind.__qualname__}",
            "source": _source(kind),
            "weights": [[key, list(value.shape)] for key, value in module.state_dict().items()],
            "data": digest,
            "datamodule": f"{type(datamodule).__module__}:{type(datamodule).__qualname__}",
        },
        facts={
            "data": type(datamodule).__name__,
            "summary": ", ".join(
                filter(None, (f"{type(datamodule).__name__} with {kind.__name__}", _described(batch)))
            ),
            "fingerprint": digest,
            "recipe": f"{kind.__module__}:{kind.__qualname__}",
            "notes": (
                *_doubtful(monitor, mode),
                *filter(None, [drawn]),
                *([UNSEEN.format(", ".join(dropped))] if dropped else []),
            ),
        },
        warning=untested,
    )


def _refuse_compiled(module: lightning.LightningModule) -> None:
    """Refuse a module of which a part is compiled: each candidate would be compiled anew, in each training.

    Raises:
        AutoactError: the part's name.
    """
    name = next((name for name, part in module.named_modules() if is_compiled(part)), None)
    if name is None:
        return
    kind = type(module).__name__
    raise AutoactError(
        f"{name or kind} is compiled (torch.compile), and each candidate would be compiled anew in each training: "
        f"have {kind} built without torch.compile here, and compile it where the recommendation is applied"
    )


def _described(batch: object) -> str:
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


def _example(
    module: lightning.LightningModule, batch: object, unfinished: Exception | None
) -> tuple[object, Callable[[object], object]]:
    """What ``module(...)`` accepts, found in its ``example_input_array`` or in a batch, and how to find it in others.

    ``unfinished`` is what the module's ``setup`` raised outside of ``fit``: perhaps it makes what is missing here.

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
    stepped = given_by_step(module, batch)
    if stepped is not None:
        try:
            _run(module, stepped)
            return stepped, lambda other: given_by_step(module, other)
        except Exception as error:
            problem = error
    cause = f"{type(problem).__name__}: {first_line(problem) if problem is not None and str(problem) else ''}"
    if unfinished is not None:
        raise AutoactError(
            f"{type(module).__name__}.setup('fit') raises {type(unfinished).__name__} ({first_line(unfinished)}), and "
            f"without it the module cannot be called on a batch of the datamodule ({cause})"
        ) from unfinished
    kind = type(module).__name__
    if not is_overridden("forward", module, lightning.LightningModule):
        raise AutoactError(
            f"{kind} has no forward, whose activations are searched and timed: define {kind}.forward, which takes what "
            "training_step hands to its layers, and call it there"
        )
    raise AutoactError(
        f"{kind} cannot be called on a batch of the datamodule ({cause}): define forward(x) for batches (x, y), or set "
        "self.example_input_array"
    )


def _run(module: lightning.LightningModule, example: object) -> object:
    """The module's result, in evaluation mode and without gradients; its modes are put back."""
    modes = [(part, part.training) for part in module.modules()]
    try:
        module.eval()
        with torch.no_grad():
            return call_model(module, example)
    finally:
        for part, mode in modes:
            part.training = mode


def _options(module: lightning.LightningModule, batch: object) -> list[object]:
    """The ways to hand a batch, or a part of it, to a module, the likeliest first; the same for all batches."""
    if isinstance(batch, (tuple, list)):
        return [*_given_first(batch[0]), tuple(batch[:-1]), tuple(batch), *_of_several(module, batch[:1])]
    if not isinstance(batch, Mapping):
        fields, wanted = held_in(batch), inspect.signature(module.forward).parameters
        named = {key: fields[key] for key in wanted if key in fields}
        return [(batch,), *([named] if named else [])]
    named = {key: batch[key] for key in inspect.signature(module.forward).parameters if key in batch}
    single = [value for value in batch.values() if isinstance(value, torch.Tensor)]
    whole = [(batch,), dict(batch), *([named] if named else [])]
    return [*whole, *single, *_of_several(module, batch.values())]


def _of_several(module: lightning.LightningModule, parts: Iterable[object]) -> list[object]:
    """The ways to hand one of several loaders' batches to a module."""
    return [way for part in parts if isinstance(part, (tuple, list, Mapping)) for way in _options(module, part)]


def _given_first(first: object) -> list[object]:
    """The ways to hand what stands first in a batch to a module: itself, or what it holds as arguments."""
    if isinstance(first, torch.Tensor):
        return [first]
    if isinstance(first, Mapping):
        return [(first,), dict(first)]
    return [(first,), tuple(first)] if isinstance(first, (tuple, list)) else [(first,)]


def _digest(batch: object) -> str:
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
