"""Images and signals as points."""

import numpy as np
import pytest
from PIL import Image

from autoact.core.errors import AutoactError, SealedError
from autoact.data.coordinates.image import image_table, prepare_image, read_image
from autoact.data.settings import DataSettings


def settings(**given):
    return DataSettings(**{"source": "image", "name": "china", "max_rows": 2000, **given})


def test_every_second_pixel_is_learnt_from_and_those_between_are_divided():
    prepared = prepare_image(settings())
    wide = 54
    learnt, chosen = prepared.train.rows, prepared.validation.rows
    assert set((learnt // wide + learnt % wide) % 2) == {0} and set((chosen // wide + chosen % wide) % 2) == {1}
    with pytest.raises(SealedError):
        _ = prepared.test.part
    prepared.test.open("a test")
    parts = np.concatenate([learnt, chosen, prepared.test.rows])
    assert sorted(parts) == list(range(sum(prepared.sizes.values())))


def test_coordinates_and_colours_lie_where_they_should():
    prepared = prepare_image(settings())
    x, y = prepared.train.x, prepared.train.y
    assert x[:, 0].min() == -1 and x[:, 0].max() <= 1 and abs(float(x[:, 1].max() + x[:, 1].min())) < 0.1
    assert y.shape[1] == 3 and y.min() >= 0 and y.max() <= 1
    assert "was made smaller" in prepared.notes[0]


def test_the_seed_divides_and_the_last_training_learns_from_validation_pixels():
    first, other = prepare_image(settings()), prepare_image(settings(seed=1))
    assert first.fingerprint != other.fingerprint and list(first.train.rows) == list(other.train.rows)
    assert list(first.validation.rows) != list(other.validation.rows)
    whole = prepare_image(settings(), whole=True)
    assert set(whole.train.rows) == set(first.train.rows) | set(first.validation.rows)


def test_an_image_of_ones_own_is_read_in_colour_and_in_grey(tmp_path):
    pixels = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    Image.fromarray(pixels).save(tmp_path / "mine.png")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "grey.png")
    mine = prepare_image(settings(path=str(tmp_path / "mine.png"), name=None))
    assert (mine.name, mine.outputs, sum(mine.sizes.values())) == ("mine", 3, 48)
    np.testing.assert_allclose(mine.train.y[0] * 255, pixels[0, 0], atol=1e-4)
    grey = prepare_image(settings(path=str(tmp_path / "grey.png")))
    assert grey.outputs == 1 and grey.train.y.ndim == 1


RAMP = np.tile(np.linspace(0, 255, 9), (4, 1))


@pytest.mark.parametrize(
    ("file", "pixels", "scaled"),
    [
        ("grey.png", RAMP.astype(np.uint8), False),
        ("deep.png", (RAMP * 257).astype(np.uint16), False),
        ("whole.tiff", (RAMP * 1000).astype(np.int32), True),
        ("real.tiff", (RAMP / 500).astype(np.float32), True),
    ],
)
def test_grey_of_every_depth_keeps_its_values(tmp_path, file, pixels, scaled):
    Image.fromarray(pixels).save(tmp_path / file)
    values, _, _, notes = read_image(settings(path=str(tmp_path / file)))
    np.testing.assert_allclose(values[..., 0] * 255, RAMP, atol=1)
    assert any("were scaled to 0 to 1" in note for note in notes) == scaled


def test_what_an_image_holds_beside_its_colours_is_told_or_respected(tmp_path):
    grey = RAMP.astype(np.uint8)
    Image.fromarray(np.dstack([grey] * 4)).save(tmp_path / "clear.png")
    Image.fromarray(grey).convert("LA").save(tmp_path / "clear_grey.png")
    Image.fromarray(grey).save(tmp_path / "film.gif", save_all=True, append_images=[Image.fromarray(255 - grey)])
    turned = Image.fromarray(grey)
    turned.getexif()[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=turned.getexif())
    read = {file.stem: read_image(settings(path=str(file))) for file in tmp_path.iterdir()}
    assert "transparency of the image is left out" in read["clear"][3][0] and read["clear_grey"][0].shape == (4, 9, 1)
    assert "first of 2 frames" in read["film"][3][0]
    assert read["turned"][0].shape == (9, 4, 1) and read["turned"][3] == []


def test_an_image_that_cannot_serve_is_refused(tmp_path, monkeypatch):
    file = str(tmp_path / "a.png")
    Image.fromarray(np.full((9, 9), 7, np.uint8)).save(file)
    with pytest.raises(AutoactError, match="holds one value only, 7"):
        prepare_image(settings(path=file))
    Image.fromarray(RAMP[:1].astype(np.uint8)).save(file)
    with pytest.raises(AutoactError, match="holds 9 points: give 16 or more"):
        prepare_image(settings(path=file))
    with pytest.raises(AutoactError, match=r"data\.max_rows=4 must be 16 or more"):
        prepare_image(settings(max_rows=4))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)
    with pytest.raises(AutoactError, match=r"a\.png is larger than PIL reads"):
        prepare_image(settings(path=file))


def test_a_signal_is_scaled_and_says_so(tmp_path):
    np.savez(tmp_path / "signal.npz", np.sin(np.arange(50.0)) * 3)
    signal = prepare_image(settings(path=str(tmp_path / "signal.npz")))
    assert signal.input_shape == (1,) and float(signal.train.y.max()) <= 1
    assert "were scaled to 0 to 1" in signal.notes[0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "chnia"}, "unknown image that comes along .* did you mean china"),
        ({"target": "red"}, "data.target=red is for tables"),
        ({"split": "time"}, "data.split=time is for tables"),
        ({"source": "csv"}, "it reads data.source=image"),
        ({"path": "nowhere.jpg"}, "nowhere.jpg"),
    ],
)
def test_mistakes(given, message):
    with pytest.raises(AutoactError, match=message):
        prepare_image(settings(**given))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones(9), "holds one value only"),
        (np.array([1.0, np.nan, 2.0]), "missing or infinite"),
        (np.ones((2, 2, 2, 2)), "give real numbers"),
        (np.arange(30) * 1j, "give real numbers"),
        (np.arange(5.0), "holds 5 points: give 16 or more"),
        (np.arange(3000.0), "data.max_rows=null reads them all"),
    ],
)
def test_files_that_cannot_serve(tmp_path, values, message):
    np.savez(tmp_path / "a.npz", values)
    with pytest.raises(AutoactError, match=message):
        prepare_image(settings(path=str(tmp_path / "a.npz")))


def test_a_file_that_is_no_image(tmp_path):
    (tmp_path / "a.jpg").write_text("no image", encoding="utf-8")
    with pytest.raises(AutoactError, match=r"a\.jpg cannot be read as an image"):
        prepare_image(settings(path=str(tmp_path / "a.jpg")))


def test_the_table_of_an_image():
    assert list(image_table(settings()).columns) == ["x", "y", "red", "green", "blue"]
