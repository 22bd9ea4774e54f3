"""An image or a signal as points: coordinates from -1 to 1, values from 0 to 1, and pixels held out between others."""

from __future__ import annotations

import math
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from autoact.core.errors import AutoactError, unknown
from autoact.data.coordinates.points import FEWEST, points, refuse_columns
from autoact.data.prepared_data import PreparedData
from autoact.data.settings import DataSettings
from autoact.data.sources.load import existing_file

# Images that scikit-learn brings along.
IMAGES = {"china": "china.jpg", "flower": "flower.jpg"}
_COLOURS = {1: ["value"], 2: ["value", "alpha"], 3: ["red", "green", "blue"], 4: ["red", "green", "blue", "alpha"]}
_AXES = ("x", "y", "z")
HELD_OUT = "scores are of points between those that are learnt; published PSNRs are often of learnt points, and higher"


def prepare_image(settings: DataSettings, *, whole: bool = False) -> PreparedData:
    """Every second point, as on a chessboard, is learnt from; those between are divided by ``data.seed``.

    ``data.validation`` to ``data.test`` is the proportion in which they are. See ``prepare`` for ``whole``.

    Raises:
        AutoactError: what is wrong with the file or the settings, in one line.

    Example:
        >>> prepared = prepare_image(DataSettings(source="image", name="china", max_rows=2000))
        >>> prepared.input_shape, prepared.outputs, sum(prepared.sizes.values())
        ((2,), 3, 1944)
    """
    refuse_columns(settings, "image")
    if settings.max_rows is not None and settings.max_rows < FEWEST:
        raise AutoactError(f"data.max_rows={settings.max_rows} must be {FEWEST} or more: points to learn and between")
    values, name, description, notes = read_image(settings)
    if math.prod(values.shape[:-1]) < FEWEST:
        raise AutoactError(
            f"{description} holds {math.prod(values.shape[:-1])} points: give {FEWEST} or more, to learn and between"
        )
    grid, axes = values.shape[:-1], values.ndim - 1
    index = np.stack(np.meshgrid(*(np.arange(n) for n in grid), indexing="ij"), -1).reshape(-1, axes)
    learnt = index.sum(1) % 2 == 0
    between = np.random.default_rng(settings.seed).permutation(np.flatnonzero(~learnt))
    count = round(len(between) * settings.validation / (settings.validation + settings.test))
    count = min(max(count, 1), len(between) - 1)
    validation, test = np.sort(between[:count]), np.sort(between[count:])
    train = np.flatnonzero(learnt)
    train = np.sort(np.concatenate([train, validation])) if whole else train
    # The longer side runs from -1 to 1, so that a pixel is as wide as it is high; the last axis (columns) comes first.
    x = ((2 * index[:, ::-1] - (np.array(grid[::-1]) - 1)) / (max(grid) - 1)).astype(np.float32)
    y = values.reshape(len(index), -1)
    return points(
        settings,
        "image",
        x=x,
        y=y,
        rows={"train": train, "validation": validation, "test": test},
        features=list(_AXES[:axes]),
        target=", ".join(_channels(y.shape[1])),
        name=name,
        description=description,
        split="chessboard",
        notes=[*notes, HELD_OUT],
    )


def image_table(settings: DataSettings) -> pd.DataFrame:
    """The points of an image as rows of a table, for lists of what there is."""
    values, *_ = read_image(settings)
    flat = values.reshape(-1, values.shape[-1])
    axes = np.indices(values.shape[:-1]).reshape(values.ndim - 1, -1)
    return pd.DataFrame(np.concatenate([axes.T, flat], 1), columns=[*_AXES[: len(axes)], *_channels(flat.shape[1])])


def read_image(settings: DataSettings) -> tuple[np.ndarray, str, str, list[str]]:
    """Values from 0 to 1 (``[..., channels]``), the name, where they came from, and what is worth a note.

    An image with more pixels than ``data.max_rows`` is made smaller.

    Raises:
        AutoactError: there is no such file or image, or it cannot be read.
    """
    if settings.path is not None and settings.path.lower().endswith(".npz"):
        return _from_npz(settings)
    if settings.path is not None:
        file = existing_file(settings.path, "data.path")
        name, description = settings.name or file.stem, f"image file {file.name}"
    else:
        if settings.name not in IMAGES:
            raise unknown("image that comes along (data.name)", settings.name, IMAGES, advice="or data.path=my.jpg")
        import sklearn

        name = IMAGES[settings.name]
        file, description = Path(sklearn.__file__).parent / "datasets" / "images" / name, f"scikit-learn's {name}"
    values, notes = _pixels(file, settings.max_rows)
    return values, name, description, notes


def _pixels(file: Path, most: int | None) -> tuple[np.ndarray, list[str]]:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # PIL doubts large files, as strangers' uploads; this one is the user's own and is made smaller below.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(file) as opened:
                notes, mode = _left_out(opened), opened.mode
                deep = mode in ("I", "F") or mode.startswith("I;16")
                image = ImageOps.exif_transpose(opened)  # as every viewer shows it
                image = image.convert("F" if deep else "L" if mode in ("1", "L", "LA") else "RGB")
    except Image.DecompressionBombError as error:
        raise AutoactError(f"data.path={file.name} is larger than PIL reads: make it smaller ({error})") from error
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise AutoactError(
            f"data.path={file.name} cannot be read as an image: give jpg, png or another image, or a signal as npz"
        ) from error
    wide, high = image.size
    if most is not None and wide * high > most:
        share = math.sqrt(most / (wide * high))
        small = max(int(wide * share), min(wide, 2)), max(int(high * share), min(high, 2))
        image = image.resize(small, Image.Resampling.BOX)
        notes.append(
            f"the image of {wide} x {high} pixels was made smaller, to {small[0]} x {small[1]} (data.max_rows={most})"
        )
    values = np.asarray(image, dtype=np.float32)
    values = values.reshape(*values.shape[:2], -1)
    if not deep:
        _check_varied(values, file)
        return values / 255, notes
    if mode in ("I", "F"):
        values, note = _scaled(values, file)
        return values, [*notes, note]
    _check_varied(values, file)
    return values / 65535, notes


def _left_out(image: Any) -> list[str]:
    """What of an opened image is not learnt."""
    frames = getattr(image, "n_frames", 1)
    return [
        *(["the transparency of the image is left out: its colours alone are learnt"] * image.has_transparency_data),
        *([f"the first of {frames} frames is learnt, the others are left out"] if frames > 1 else []),
    ]


def _check_varied(values: np.ndarray, file: Path) -> None:
    if (low := float(values.min())) == float(values.max()):
        raise AutoactError(f"{file.name} holds one value only, {low:g}: there is nothing to learn")


def _scaled(values: np.ndarray, file: Path) -> tuple[np.ndarray, str]:
    """Values of a range that the file does not state, from 0 to 1, and a note on it."""
    if not np.isfinite(values).all():
        raise AutoactError(f"{file.name} holds missing or infinite values: fill them before")
    _check_varied(values, file)
    low, high = float(values.min()), float(values.max())
    note = f"values from {low:g} to {high:g} were scaled to 0 to 1: the PSNR is one of the scaled values"
    return ((values - low) / (high - low)).astype(np.float32), note


def _from_npz(settings: DataSettings) -> tuple[np.ndarray, str, str, list[str]]:
    """The one array of a file, ``[time]``, ``[height, width]`` or ``[height, width, channels]``."""
    file = existing_file(settings.path, "data.path")
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise AutoactError(f"{file.name} cannot be read as npz: save one array with numpy.savez") from error
    if len(arrays) != 1:
        raise AutoactError(f"{file.name} holds {len(arrays)} arrays ({', '.join(arrays)}): give one")
    values = next(iter(arrays.values()))
    real = np.issubdtype(values.dtype, np.integer) or np.issubdtype(values.dtype, np.floating)
    if values.ndim not in (1, 2, 3) or not real or min(values.shape, default=0) < 1:
        raise AutoactError(
            f"{file.name} holds {values.dtype} {list(values.shape)}: give real numbers [time], [height, width] or "
            "[height, width, channels]"
        )
    values = values.astype(np.float64)
    values = values if values.ndim == 3 else values[..., None]
    scaled, note = _scaled(values, file)
    if settings.max_rows is not None and math.prod(values.shape[:-1]) > settings.max_rows:
        raise AutoactError(
            f"{file.name} holds {math.prod(values.shape[:-1]):,} points and data.max_rows={settings.max_rows}: "
            "data.max_rows=null reads them all"
        )
    return scaled, settings.name or file.stem, f"npz file {file.name}", [note]


def _channels(count: int) -> list[str]:
    return _COLOURS.get(count, [f"value {k}" for k in range(count)])
