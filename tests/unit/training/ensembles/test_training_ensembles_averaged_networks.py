"""Several networks as one module: the mean of their scores, whatever turns outputs into scores."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from lightning import LightningModule
from torch import Tensor, nn

from autoact.core.errors import AutoactError
from autoact.training.ensembles.averaged_networks import AveragedNetworks, averaged

FORMS = {
    "number": lambda out: 3 * out[:, 0] + 2,
    "sigmoid": lambda out: out[:, 0].sigmoid(),
    "softmax": lambda out: out.softmax(1),
}


class Net(LightningModule):
    def __init__(self, form: str = "number") -> None:
        super().__init__()
        self.layer, self.form = nn.Linear(3, 2), form

    def forward(self, x: Tensor) -> Tensor:
        return 20 * self.layer(x)

    def score(self, out: Tensor) -> Tensor:
        return FORMS[self.form](out) if self.form in FORMS else out.square()


@pytest.mark.parametrize("form", FORMS)
def test_the_score_is_the_mean_of_the_networks_scores(form: str) -> None:
    networks, x = [Net(form).eval() for _ in range(3)], torch.randn(7, 3)
    made = averaged(networks, x)
    assert made.form == form and not made.training
    wanted = torch.stack([network.score(network(x)) for network in networks]).mean(0)
    assert torch.allclose(made.score(made(x)), wanted, rtol=1e-4, atol=1e-6)


def test_certain_probabilities_keep_their_digits() -> None:
    made = AveragedNetworks([nn.Identity(), nn.Identity()], "sigmoid")
    assert torch.allclose(made(torch.tensor([80.0, -80.0])), torch.tensor([80.0, -80.0]))


def test_a_score_that_no_mean_output_has_is_refused() -> None:
    with pytest.raises(AutoactError, match=r"Net\.score is none of number, sigmoid, softmax.*without train\.ensemble"):
        averaged([Net("square"), Net("square")], torch.randn(7, 3))


def test_a_module_without_a_score_gives_scores() -> None:
    class Plain(LightningModule):
        def forward(self, x: Tensor) -> Tensor:
            return x

    made = averaged([Plain(), Plain()], torch.ones(2, 1))
    assert made.form == "number" and not hasattr(made, "score")


def test_outputs_of_several_tensors_are_averaged_one_by_one() -> None:
    class Several(nn.Module):
        def __init__(self, by: float) -> None:
            super().__init__()
            self.by = by

        def forward(self, *, a: Tensor) -> dict[str, Any]:
            return {"twice": self.by * a, "kept": torch.tensor([1])}

    found = AveragedNetworks([Several(1.0), Several(3.0)])(a=torch.ones(2))
    assert found["twice"].tolist() == [2.0, 2.0] and found["kept"].tolist() == [1]


def test_its_graph_takes_any_number_of_rows() -> None:
    made = averaged([Net("softmax").eval(), Net("softmax").eval()], torch.randn(4, 3))
    graph = torch.export.export(made, (torch.randn(4, 3),), dynamic_shapes=({0: torch.export.Dim.AUTO},)).module()
    x = torch.randn(9, 3)
    assert torch.allclose(graph(x), made(x), atol=1e-5)


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(AutoactError, match="unknown form 'sigmiod': did you mean sigmoid"):
        AveragedNetworks([nn.Identity()], "sigmiod")
