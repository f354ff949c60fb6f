# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from PIL import Image

from facefactor.apps.viewer import sources
from facefactor.apps.viewer.sources import find_sources
from facefactor.errors import AssetMissing
from facefactor.export.record import write_face_record


def save_picture(path, width=512, height=512) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path)


def test_a_folder_offers_faces_and_photos_but_not_the_pictures_that_reconstruct_wrote(tmp_path, record):
    write_face_record(tmp_path / "p" / "0.json", record)
    save_picture(tmp_path / "p" / "0.png")
    save_picture(tmp_path / "other.JPG")
    (tmp_path / "notes.txt").write_text("no photo")
    assert find_sources(tmp_path) == {"other.JPG": tmp_path / "other.JPG", "p/0.json": tmp_path / "p" / "0.json"}


def test_a_photo_whose_json_would_have_too_long_a_name_is_offered(tmp_path):
    name = "n" * 251 + ".jpg"
    save_picture(tmp_path / name)
    assert list(find_sources(tmp_path)) == [name]


def test_a_file_is_its_own_only_choice(tmp_path):
    save_picture(tmp_path / "me.png")
    assert find_sources(tmp_path / "me.png") == {"me.png": tmp_path / "me.png"}


def test_what_is_not_there_and_what_is_empty_is_said(tmp_path):
    with pytest.raises(AssetMissing, match="no such file or folder"):
        find_sources(tmp_path / "missing")
    with pytest.raises(AssetMissing, match="n: File name too long"):
        find_sources(tmp_path / ("n" * 300))
    with pytest.raises(AssetMissing, match="holds neither faces"):
        find_sources(tmp_path)


def test_a_large_folder_is_cut_and_that_is_said(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(sources, "MOST_SOURCES", 2)
    for number in range(3):
        save_picture(tmp_path / f"{number}.png", 4, 4)
    assert list(find_sources(tmp_path)) == ["0.png", "1.png"]
    assert "of 3 files the first 2" in caplog.text
