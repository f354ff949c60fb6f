# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facefactor.apps.cli import main
from facefactor.apps.model_sheet import BACKGROUND_SRGB, TILE_PX
from facefactor.face.model import load_face_model


def read_picture(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def test_info_names_sizes_hash_sources_and_licences(capsys):
    assert main(["model", "info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["model_hash"] == load_face_model().model_hash
    assert (facts["shape_components"], facts["expressions"], facts["reflectance_components"]) == (80, 52, 80)
    assert {source["licence"] for source in facts["provenance"]["sources"].values()} >= {"MIT", "CC0-1.0"}


def test_info_is_readable_without_json(capsys):
    assert main(["model", "info"]) == 0
    assert f"vertices: {load_face_model().num_vertices}" in capsys.readouterr().out


def test_a_sheet_of_random_heads_shows_as_many_and_is_the_same_for_the_same_seed(tmp_path):
    for name, seed in (("first", "4"), ("again", "4"), ("other", "5")):
        assert main(["model", "sample", "--count", "3", "--seed", seed, "--out", str(tmp_path / f"{name}.png")]) == 0
    first, again, other = (read_picture(tmp_path / f"{name}.png") for name in ("first", "again", "other"))
    assert first.shape == (TILE_PX, 3 * TILE_PX, 3)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    for tile in np.split(first, 3, axis=1):
        is_head = np.abs(tile.astype(float) - 255 * BACKGROUND_SRGB).max(axis=2) > 8
        # A head 22 cm high fills about a quarter of the tile, and stands in its middle.
        assert 0.1 < is_head.mean() < 0.6
        assert is_head[TILE_PX // 2, TILE_PX // 2]


def test_building_without_the_sources_is_one_line(tmp_path, capsys):
    arguments = ["model", "build", "--data", str(tmp_path), "--out", str(tmp_path / "model.safetensors")]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "ict_identity.npz: needed to build the face model and not there" in error
    assert not (tmp_path / "model.safetensors").exists()


def test_measuring_without_scans_is_one_line(tmp_path, capsys):
    assert main(["model", "fit-scans", "--data", str(tmp_path), "--out", str(tmp_path / "report")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_sheet_that_cannot_be_written_is_one_line(tmp_path, capsys):
    (tmp_path / "file").write_text("not a folder")
    assert main(["model", "sample", "--count", "1", "--out", str(tmp_path / "file" / "sheet.png")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_the_expression_sheet_shows_52_different_faces(tmp_path):
    assert main(["model", "sample", "--expressions", "--out", str(tmp_path / "sheet.png")]) == 0
    sheet = read_picture(tmp_path / "sheet.png")
    rows = [np.split(row, sheet.shape[1] // TILE_PX, axis=1) for row in np.split(sheet, sheet.shape[0] // TILE_PX)]
    tiles = [tile.tobytes() for row in rows for tile in row][:52]
    assert len(set(tiles)) == 52
