# SPDX-License-Identifier: Apache-2.0
"""`facefactor model learn`, on two photos of one face."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from facefactor.apps import import_weights
from facefactor.apps.cli import main


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(2):
        Image.fromarray(np.roll(astronaut(), 5 * number, axis=1)).save(folder / f"{number}.png")
    return folder


def test_a_model_is_learnt_and_reconstructs(
    photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(import_weights, "NUM_CROPS", 64)
    file = tmp_path / "ours.safetensors"
    arguments = ["model", "learn", str(photos), "--jobs", "1", "--steps", "2", "--geometry", "2", "--reflectance", "3"]
    assert main([*arguments, "--out", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}\n"
    assert (tmp_path / "ours.safetensors.work" / "run" / "weights.safetensors").is_file()
    photo = str(photos / "0.png")
    assert main(["reconstruct", photo, "--model", str(file), "--json", "--out", str(tmp_path / "out")]) == 0
    record = json.loads(Path(json.loads(capsys.readouterr().out)["json"]).read_text())
    assert record["engine"] == "multilevel"
    assert (len(record["geometry_corrective"]), len(record["reflectance_corrective"])) == (2, 3)
    assert (tmp_path / "out" / "0" / "0.glb").read_bytes()[:4] == b"glTF"
    assert main(["reconstruct", photo, "--model", str(file), "--refine", "--out", str(tmp_path / "refined")]) == 0
    face = str(tmp_path / "out" / "0" / "0.json")
    options = ["--photo", photo, "--expression", "jawOpen=0.7", "--out", str(tmp_path / "opened.png")]
    assert main(["edit", face, "--model", str(file), *options]) == 0
    assert main(["relight", photo, "--light", "left", "--model", str(file), "--out", str(tmp_path / "lit.png")]) == 0
    for picture in ("opened.png", "lit.png"):
        assert np.abs(np.asarray(Image.open(tmp_path / picture)).astype(int) - astronaut()).max() > 30


def test_photos_without_faces_teach_nothing(tmp_path: Path, capsys: pytest.CaptureFixture):
    Image.fromarray(np.full((200, 200, 3), 90, dtype=np.uint8)).save(tmp_path / "wall.png")
    out = tmp_path / "none.safetensors"
    assert main(["model", "learn", str(tmp_path / "wall.png"), "--jobs", "1", "--out", str(out)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error == "facefactor: learning needs two faces or more, the photos show 0"
    assert not out.exists()


def test_a_model_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture):
    arguments = ["reconstruct", "a.png", "--model", str(tmp_path / "none.safetensors"), "--out", str(tmp_path)]
    assert main(arguments) == 2
    assert capsys.readouterr().err == f"facefactor: {tmp_path / 'none.safetensors'}: no such file\n"
