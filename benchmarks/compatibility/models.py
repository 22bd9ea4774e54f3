"""Models that nobody here wrote, with random weights."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.compatibility.subject import BATCH, ROWS, Loaders, Regression, Subject, drawn, of_images, rows_of
from benchmarks.compatibility.training import BY_HAND, skorch_toy, trained_by_hand

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


# torchvision, timm and segmentation. Transformers of images are built for small images: their names say 224 pixels, at
# which one training step of ten of them takes 16 GiB.

IMAGE = 64

TORCHVISION = ("mobilenet_v3_small", "resnet18", "efficientnet_b0", "densenet121", "convnext_tiny", "mnasnet0_5")
TIMM = """
    resnet18 mobilenetv3_small_050 efficientnet_lite0 convnext_atto vit_tiny_patch16_224 deit_tiny_patch16_224
    ghostnet_050 lcnet_050 mixnet_s tf_efficientnet_b0 hardcorenas_a resnest14d nf_resnet26 gernet_s cspresnet50 dla34
    fbnetc_100 mobilevit_xxs poolformer_s12 edgenext_xx_small
"""
TRANSFORMERS = """
    Bert Roberta DistilBert Electra Albert GPT2 OPT Bloom GPTNeoX Llama Mistral Gemma Qwen2 Phi Falcon MPNet XLNet Mamba
    Funnel ConvBert SqueezeBert Nystromformer T5 ViT
"""


def torchvision_net(name: str) -> Subject:
    """A classifier of torchvision."""
    import torchvision  # type: ignore[import-not-found]

    return of_images(functools.partial(getattr(torchvision.models, name), weights=None), IMAGE)


def timm_net(name: str) -> Subject:
    """A classifier of timm."""
    import timm  # type: ignore[import-not-found]

    smaller = {"img_size": IMAGE} if "patch16" in name else {}
    return of_images(functools.partial(timm.create_model, name, pretrained=False, **smaller), IMAGE)


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
