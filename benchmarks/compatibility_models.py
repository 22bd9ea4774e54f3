"""Models that nobody here wrote, with random weights, each in a LightningModule with data to train on."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

ROWS, BATCH = 12, 4


@dataclass(frozen=True)
class Subject:
    """What is searched.

    Attributes:
        make_module: returns a fresh LightningModule.
        datamodule: its data.
        monitor: the validation loss that it logs.
        callbacks: returns fresh callbacks for one training.
    """

    make_module: Callable[[], Any]
    datamodule: Any
    monitor: str = "val_loss"
    callbacks: Callable[[], Sequence[Any]] = tuple


class Loaders(lightning.LightningDataModule):
    """The same kind of loader for training, validation and test rows."""

    def __init__(self, make: Callable[[], Any]) -> None:
        super().__init__()
        self.make = make

    def train_dataloader(self) -> Any:
        return self.make()

    val_dataloader = test_dataloader = train_dataloader


def rows_of(*tensors: Tensor) -> Loaders:
    """Rows in batches."""
    dataset: Dataset[Any] = TensorDataset(*tensors)
    return Loaders(lambda: DataLoader(dataset, batch_size=BATCH))


def first_tensor(out: Any) -> Tensor:
    """What a network returned, or the first tensor in it, as floating-point numbers."""
    if isinstance(out, Tensor):
        return out if out.is_floating_point() else out.float()
    return first_tensor(next(iter(out.values() if isinstance(out, Mapping) else out)))


class Regression(lightning.LightningModule):
    """A network as it is, and the squared error of the mean of its first output; batches are ``(x, y)``."""

    def __init__(self, net: nn.Module, key: str | None = None) -> None:
        super().__init__()
        self.net, self.key = net, key

    def forward(self, x: Any) -> Tensor:
        return first_tensor(self.net(x) if self.key is None else self.net(**{self.key: x}, return_dict=False))

    def loss(self, batch: Any) -> Tensor:
        """Of a batch."""
        x, y = batch
        return ((self(x).flatten(1).mean(1) - y) ** 2).mean()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.loss(batch)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self.log("val_loss", self.loss(batch))

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def drawn(*shape: int) -> Tensor:
    """Normal numbers, the same ones each time."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def of_images(make: Callable[[], nn.Module], size: int = 64, channels: int = 3) -> Subject:
    """A network that takes images."""
    return Subject(lambda: Regression(make()), rows_of(drawn(ROWS, channels, size, size), drawn(ROWS)))


# Lightning's own examples.


def lightning_demo(name: str) -> Subject:
    """One of ``lightning.pytorch.demos``; what validates where it does not."""
    from lightning.pytorch.demos.boring_classes import BoringModel, ManualOptimBoringModel, RandomDataset
    from lightning.pytorch.demos.lstm import LightningLSTM
    from lightning.pytorch.demos.transformer import LightningTransformer

    tokens = torch.randint(0, 20, (ROWS, 6), generator=torch.Generator().manual_seed(0))
    if name in ("BoringModel", "ManualOptimBoringModel"):
        kind = {"BoringModel": BoringModel, "ManualOptimBoringModel": ManualOptimBoringModel}[name]
        loaders = Loaders(lambda: DataLoader(RandomDataset(32, ROWS), batch_size=BATCH))
        return Subject(validated(kind, "loss"), loaders)
    parent = {"LightningTransformer": LightningTransformer, "LightningLSTM": LightningLSTM}[name]
    return Subject(functools.partial(validated(parent, None), vocab_size=20), rows_of(tokens, tokens.roll(-1, 1)))


def validated(kind: Any, key: str | None) -> Any:
    """A module that logs its training loss on validation rows, and downloads nothing."""

    def validation_step(self: Any, batch: Any, batch_idx: int) -> None:
        made = kind.step(self, batch) if key is not None else kind.training_step(self, batch, batch_idx)
        self.log("val_loss", made)

    added = {"validation_step": validation_step, "prepare_data": lambda self: None, "__module__": kind.__module__}
    return type(kind.__name__, (kind,), added)


def hydra_template(folder: str) -> Subject:
    """The module of lightning-hydra-template, which is no package, with its network."""
    import sys

    sys.path.insert(0, folder)
    from src.models.components.simple_dense_net import SimpleDenseNet  # type: ignore[import-not-found]
    from src.models.mnist_module import MNISTLitModule  # type: ignore[import-not-found]

    def make() -> Any:
        return MNISTLitModule(
            SimpleDenseNet(lin1_size=64, lin2_size=64, lin3_size=64),
            functools.partial(torch.optim.Adam, lr=1e-3),
            functools.partial(torch.optim.lr_scheduler.ReduceLROnPlateau, patience=10),
            compile=False,
        )

    labels = torch.randint(0, 10, (ROWS,), generator=torch.Generator().manual_seed(0))
    return Subject(make, rows_of(drawn(ROWS, 1, 28, 28), labels), "val/loss")


# Forecasts.


def forecasting(name: str) -> Subject:
    """A network of pytorch-forecasting on three short series."""
    import numpy as np
    import pandas as pd
    import pytorch_forecasting as forecasting

    step = np.tile(np.arange(40), 3)
    series = np.repeat(["a", "b", "c"], 40)
    frame = pd.DataFrame({"step": step, "series": series, "value": np.sin(step / 5) + 2.0 + 0.1 * (series == "b")})
    lengths = {"max_encoder_length": 12, "max_prediction_length": 4}
    if name == "NHiTS":
        lengths |= {"min_encoder_length": 12, "min_prediction_length": 4}
    known = [] if name == "NHiTS" else ["step"]
    dataset = forecasting.TimeSeriesDataSet(
        frame,
        time_idx="step",
        target="value",
        group_ids=["series"],
        time_varying_known_reals=known,
        time_varying_unknown_reals=["value"],
        static_categoricals=[] if name == "NHiTS" else ["series"],
        target_normalizer=forecasting.data.encoders.GroupNormalizer(groups=["series"]),
        **lengths,
    )
    if name == "TemporalFusionTransformer":
        make = functools.partial(
            forecasting.TemporalFusionTransformer.from_dataset, dataset, hidden_size=8, attention_head_size=1
        )
    elif name == "NHiTS":
        make = functools.partial(forecasting.NHiTS.from_dataset, dataset, hidden_size=16)
    else:
        make = functools.partial(forecasting.DeepAR.from_dataset, dataset, hidden_size=8)
    return Subject(make, Loaders(lambda: dataset.to_dataloader(train=False, batch_size=16, num_workers=0)))


# Graphs.


def graphs(*, whole: bool) -> Subject:
    """A graph convolution network of torch_geometric; ``forward`` takes the batch, or what it holds."""
    from torch_geometric.data import Data
    from torch_geometric.loader import DataLoader as GraphLoader
    from torch_geometric.nn import GCN, global_mean_pool

    class OnGraphs(Regression):
        def __init__(self) -> None:
            super().__init__(GCN(5, 16, num_layers=3, out_channels=1))

        def loss(self, batch: Any) -> Tensor:
            out = self(batch) if whole else self(batch.x, batch.edge_index, batch.batch)
            return ((out.flatten() - batch.y) ** 2).mean()

    class Whole(OnGraphs):
        def forward(self, data: Any) -> Tensor:
            return global_mean_pool(self.net(data.x, data.edge_index), data.batch)

    class Parts(OnGraphs):
        def forward(self, x: Tensor, edge_index: Tensor, batch: Tensor) -> Tensor:
            return global_mean_pool(self.net(x, edge_index), batch)

    edges = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
    data = [Data(x=drawn(4, 5) + k, edge_index=edges, y=torch.tensor([float(k)])) for k in range(ROWS)]
    return Subject(Whole if whole else Parts, Loaders(lambda: GraphLoader(data, batch_size=BATCH)))


# Texts.

SMALL = {
    **dict.fromkeys(("hidden_size", "d_model", "n_embd", "dim", "embedding_size", "word_embed_proj_dim"), 16),
    **dict.fromkeys(("intermediate_size", "hidden_dim", "ffn_dim", "d_inner", "n_inner", "d_ff"), 32),
    **dict.fromkeys(("num_hidden_layers", "n_layer", "n_layers", "num_layers"), 2),
    **dict.fromkeys(("num_attention_heads", "n_head", "n_heads", "num_key_value_heads", "num_heads"), 2),
    **dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), 1),
    **{
        "head_dim": 8,
        "vocab_size": 50,
        "block_sizes": [1, 1],
        "d_head": 8,
        "d_kv": 8,
        "image_size": 32,
        "patch_size": 8,
    },
}


def transformer(family: str) -> Subject:
    """A small network of a family of ``transformers``."""
    import transformers

    kind = getattr(transformers, f"{family}Config")
    known = vars(kind()) | dict.fromkeys(getattr(kind, "attribute_map", {}))
    config = kind(**{key: value for key, value in SMALL.items() if key in known})
    model = getattr(transformers, f"{family}{'EncoderModel' if family in ('T5', 'UMT5') else 'Model'}")
    if family == "ViT":
        return Subject(lambda: Regression(model(config), "pixel_values"), rows_of(drawn(ROWS, 3, 32, 32), drawn(ROWS)))
    tokens = torch.randint(2, 50, (ROWS, 8), generator=torch.Generator().manual_seed(0))
    return Subject(lambda: Regression(model(config), "input_ids"), rows_of(tokens, drawn(ROWS)))


# Ways of training.


class Gan(lightning.LightningModule):
    """Two networks and two optimisers, by hand, as in Lightning's documentation."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 8), nn.Tanh())
        self.discriminator = nn.Sequential(nn.Linear(8, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1), nn.Sigmoid())

    def forward(self, z: Tensor) -> Tensor:
        return self.generator(z)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        z, real = batch
        for optimizer, wanted in zip(self.optimizers(), (1.0, 0.0), strict=True):
            self.toggle_optimizer(optimizer)
            judged = self.discriminator(self(z) if wanted else self(z).detach())
            loss = nn.functional.binary_cross_entropy(judged, torch.full_like(judged, wanted))
            if not wanted:
                judged = self.discriminator(real)
                loss = loss + nn.functional.binary_cross_entropy(judged, torch.ones_like(judged))
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            self.untoggle_optimizer(optimizer)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        z, real = batch
        self.log("val_loss", (self(z).mean(0) - real.mean(0)).pow(2).mean())

    def configure_optimizers(self) -> Any:
        return [torch.optim.Adam(part.parameters(), lr=1e-3) for part in (self.generator, self.discriminator)]


class Averaged(Regression):
    """An average of the weights, kept by ``timm``, which validates."""

    def __init__(self) -> None:
        from timm.utils import ModelEmaV3

        super().__init__(mlp())
        self.ema = ModelEmaV3(self.net, decay=0.9)

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.ema.update(self.net)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        self.log("val_loss", ((self.ema(x).flatten() - y) ** 2).mean())


class MeanTeacher(Regression):
    """A teacher whose weights follow the student's; both are asked for the same rows."""

    def __init__(self) -> None:
        super().__init__(mlp())
        self.teacher = copy.deepcopy(self.net).requires_grad_(False)

    def loss(self, batch: Any) -> Tensor:
        x, _ = batch
        with torch.no_grad():
            told = self.teacher(x)
        return super().loss(batch) + ((self(x) - told) ** 2).mean()

    def on_before_zero_grad(self, optimizer: Any) -> None:
        for slow, fast in zip(self.teacher.parameters(), self.net.parameters(), strict=True):
            slow.data.lerp_(fast.data, 0.1)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        x, y = batch
        self.log("val_loss", ((self.teacher(x).flatten() - y) ** 2).mean())


class Pinn(Regression):
    """A network that solves y'' = -y, by its own derivatives."""

    def __init__(self) -> None:
        super().__init__(mlp(1, nn.Tanh))

    def loss(self, batch: Any) -> Tensor:
        with torch.enable_grad():
            x = batch[0].clone().requires_grad_()
            y = self(x)
            slope = torch.autograd.grad(y.sum(), x, create_graph=True)[0]
            bend = torch.autograd.grad(slope.sum(), x, create_graph=True)[0]
            return ((bend + y) ** 2).mean()


def mlp(inputs: int = 4, kind: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    """A small network."""
    return nn.Sequential(nn.Linear(inputs, 16), kind(), nn.Linear(16, 16), kind(), nn.Linear(16, 1))


def averaging_callback() -> Sequence[Any]:
    """Lightning's own average of the weights."""
    from lightning.pytorch.callbacks import EMAWeightAveraging

    return [EMAWeightAveraging(decay=0.9)]


def skorch_toy() -> nn.Module:
    """The network of skorch's toys."""
    from skorch.toy import make_regressor

    return make_regressor(input_units=4, num_hidden=2)()


def trained_by_hand(name: str) -> Subject:
    """Ways of training that are not one loss and one optimiser."""
    rows = rows_of(drawn(ROWS, 4), drawn(ROWS))
    subjects = {
        "GAN, manual optimisation": lambda: Subject(Gan, rows_of(drawn(ROWS, 4), drawn(ROWS, 8))),
        "EMA, timm's ModelEmaV3": lambda: Subject(Averaged, rows),
        "EMA, Lightning's EMAWeightAveraging": lambda: Subject(
            lambda: Regression(mlp()), rows, callbacks=averaging_callback
        ),
        "mean teacher": lambda: Subject(MeanTeacher, rows),
        "PINN": lambda: Subject(Pinn, rows_of(drawn(ROWS, 1), drawn(ROWS))),
    }
    return subjects[name]()


# torchvision, timm and segmentation.

TORCHVISION = ("mobilenet_v3_small", "resnet18", "efficientnet_b0", "densenet121", "convnext_tiny", "vit_b_16")
TIMM = """
    resnet18 mobilenetv3_small_050 efficientnet_lite0 convnext_atto vit_tiny_patch16_224 deit_tiny_patch16_224
    ghostnet_050 lcnet_050 mixnet_s tf_efficientnet_b0 hardcorenas_a resnest14d nf_resnet26 gernet_s cspresnet50 dla34
    fbnetc_100 mobilevit_xxs poolformer_s12 edgenext_xx_small
"""
TRANSFORMERS = """
    Bert Roberta DistilBert Electra Albert GPT2 OPT Bloom GPTNeoX Llama Mistral Gemma Qwen2 Phi Falcon MPNet XLNet Mamba
    Funnel ConvBert SqueezeBert Nystromformer T5 ViT
"""
BY_HAND = (
    "GAN, manual optimisation",
    "EMA, timm's ModelEmaV3",
    "EMA, Lightning's EMAWeightAveraging",
    "mean teacher",
    "PINN",
)


def torchvision_net(name: str) -> Subject:
    """A classifier of torchvision."""
    import torchvision  # type: ignore[import-not-found]

    make = functools.partial(getattr(torchvision.models, name), weights=None)
    return of_images(make, 224 if name == "vit_b_16" else 64)


def timm_net(name: str) -> Subject:
    """A classifier of timm."""
    import timm  # type: ignore[import-not-found]

    return of_images(functools.partial(timm.create_model, name, pretrained=False), 224 if "patch16" in name else 64)


def segmentation() -> Subject:
    """A U-Net of segmentation-models-pytorch."""
    import segmentation_models_pytorch as smp  # type: ignore[import-not-found]

    return of_images(functools.partial(smp.Unet, "resnet18", encoder_weights=None))


@dataclass(frozen=True)
class Entry:
    """One row: a package, a name in it, and how the subject is made."""

    package: str
    name: str
    make: Callable[[], Subject] = field(repr=False)


def entries(template: str | None) -> list[Entry]:
    """Every row, in order.

    Args:
        template: a checkout of lightning-hydra-template; its row is left out without one.
    """
    demos = ("BoringModel", "ManualOptimBoringModel", "LightningTransformer", "LightningLSTM")
    found = [Entry("lightning", name, functools.partial(lightning_demo, name)) for name in demos]
    if template is not None:
        module = functools.partial(hydra_template, template)
        found.append(Entry("lightning-hydra-template", "MNISTLitModule", module))
    names = ("TemporalFusionTransformer", "NHiTS", "DeepAR")
    found += [Entry("pytorch-forecasting", name, functools.partial(forecasting, name)) for name in names]
    found += [Entry("torchvision", name, functools.partial(torchvision_net, name)) for name in TORCHVISION]
    found += [Entry("timm", name, functools.partial(timm_net, name)) for name in TIMM.split()]
    found += [Entry("transformers", name, functools.partial(transformer, name)) for name in TRANSFORMERS.split()]
    found += [
        Entry("torch_geometric", "GCN, forward(data)", functools.partial(graphs, whole=True)),
        Entry("torch_geometric", "GCN, forward(x, edge_index, batch)", functools.partial(graphs, whole=False)),
        Entry("segmentation-models-pytorch", "Unet", segmentation),
        Entry(
            "skorch",
            "toy regressor",
            lambda: Subject(lambda: Regression(skorch_toy()), rows_of(drawn(ROWS, 4), drawn(ROWS))),
        ),
    ]
    return [*found, *(Entry("ways of training", name, functools.partial(trained_by_hand, name)) for name in BY_HAND)]
