# SPDX-License-Identifier: Apache-2.0
"""The examples, each run as its first lines say, on the astronaut."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
LADDER = sorted(EXAMPLES.glob("[0-9][0-9]_*.py"))
PHOTO = astronaut()[:330, 60:390]


@pytest.mark.parametrize("example", LADDER, ids=lambda path: path.stem)
def test_an_example_does_what_it_says(example: Path, tmp_path: Path, monkeypatch, capsys):
    Image.fromarray(PHOTO).save(tmp_path / "me.png")
    out = tmp_path / "out"
    out.mkdir()
    assert f"python examples/{example.name} PHOTO OUT_FOLDER" in example.read_text()
    monkeypatch.setattr(sys, "argv", [str(example), str(tmp_path / "me.png"), str(out)])
    runpy.run_path(str(example), run_name="__main__")
    written = list(out.iterdir())
    assert written
    assert all(path.stat().st_size > 0 for path in written)
    for path in (path for path in written if path.suffix == ".png"):
        picture = np.asarray(Image.open(path))
        assert picture.shape == PHOTO.shape
        assert np.abs(picture.astype(int) - PHOTO).max() > 20, path.name


def test_the_ladder_is_there():
    assert [path.stem[:2] for path in LADDER] == [f"{step:02d}" for step in range(len(LADDER))]
    assert len(LADDER) >= 4
