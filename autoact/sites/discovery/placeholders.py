"""Modules that stand, for a while or for good, where a model calls a function: what they compute stays the same."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from torch import nn

from autoact.activations.modules import build
from autoact.core.assignment import Choice
from autoact.core.errors import AutoactError
from autoact.sites.discovery.recognise import choice_of_function
from autoact.sites.rewriting.method_rewrite import MethodCall, calls_rewritten, rewrite_
from autoact.sites.rewriting.method_source import NoSourceError
from autoact.sites.tracing.locate import Located, put
from autoact.sites.tracing.torch_transformer import fast_paths, hold_, is_layer
from autoact.sites.user_hooks import take_hooks_


class StandIns(AbstractContextManager["StandIns"]):
    """Puts stand-ins into a model, and takes them out again, the last first.

    Example:
        >>> layer = nn.TransformerEncoderLayer(4, 1, 8)
        >>> with StandIns(layer) as standins:
        ...     standins.for_functions_of_layers()
        ...     layer.activation
        ActivationModule(relu)
        >>> layer.activation.__name__
        'relu'
    """

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._undo: list[Callable[[], None]] = []
        self._nested = fast_paths(model)

    def __exit__(self, *_: object) -> None:
        self.undo()

    def __len__(self) -> int:
        return len(self._undo)

    def undo(self, keep: int = 0) -> None:
        """Take all but the first ``keep`` out."""
        while len(self._undo) > keep:
            self._undo.pop()()
        if not keep:
            for encoder, nested in self._nested.items():
                encoder.use_nested_tensor = nested

    def for_functions_of_layers(self) -> None:
        """Put modules where transformer layers hold functions that the catalogue knows."""
        for layer in list(self._model.modules()):
            if is_layer(layer) and not isinstance(layer.activation, nn.Module):
                choice = choice_of_function(layer.activation)
                if choice is not None:
                    self._for_function(layer, choice)

    def for_names(self, located: list[Located]) -> None:
        """Put a module of its own under each name of a module without weights that has several."""
        for item in located:
            if len(item.names) > 1 and not any(True for _ in item.module.parameters()):
                for name in item.names:
                    self.for_module((name,), item.choice)

    def _for_function(self, layer: nn.Module, choice: Choice) -> None:
        before = layer.activation
        hold_(layer, build(choice).train(layer.training))  # type: ignore[arg-type]
        self._undo.append(lambda: hold_(layer, before))  # type: ignore[arg-type]

    def for_module(self, names: tuple[str, ...], choice: Choice) -> None:
        """Put a module of the catalogue where another one stands, or a transformer layer holds a function.

        Raises:
            AutoactError: nothing of that name.
        """
        parent, _, attribute = names[0].rpartition(".")
        try:
            layer = self._model.get_submodule(parent)
        except AttributeError:
            layer = None
        before = getattr(layer, attribute, None)
        if layer is None or before is None:
            raise AutoactError(f"sites do not fit the model: it holds nothing at {names[0]!r}")
        if not isinstance(before, nn.Module):
            self._for_function(layer, choice)
            return
        module = build(choice).train(before.training)
        take_hooks_(module, before)
        put(self._model, names, module)
        self._undo.append(lambda: put(self._model, names, before))

    def for_call(self, owner: str, call: MethodCall, choice: Choice) -> None:
        """Put a module where a method of a module calls a function.

        Raises:
            AutoactError: no such call.
        """
        try:
            module = self._model.get_submodule(owner)
            before = calls_rewritten(module)
            rewrite_(module, before | {call})
        except (NoSourceError, TypeError, AttributeError) as error:
            raise AutoactError(
                f"sites do not fit the model: no {call.function}() in {owner or 'it'!r}: {error}"
            ) from error
        module.add_module(call.attribute, build(choice).train(module.training))

        def undo() -> None:
            del module._modules[call.attribute]
            rewrite_(module, before)

        self._undo.append(undo)
