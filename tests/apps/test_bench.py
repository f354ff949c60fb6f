# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.data import astronaut

from facefactor.apps.bench import matmul_flops_per_second
from facefactor.apps.cli import DEFAULT_ENGINE, main


def test_bench_times_the_shipped_network_and_prints_json(capsys: pytest.CaptureFixture):
    assert main(["bench", "--json", "--threads", "1", "--rounds", "2"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["engine"] == DEFAULT_ENGINE
    assert len(facts["weights"]) == 16
    assert facts["machine"]["threads"] == 1
    medians = facts["median_ms"]
    for count in (1, 32):
        together = medians[f"encode_batch{count}"] + medians[f"decode_batch{count}"]
        assert medians[f"both_batch{count}"] == pytest.approx(together)
        # What else runs on a machine may slow the product more than the network.
        assert 0 < facts["encoder_share_of_peak"][f"batch{count}"] < 10
    assert facts["faces_per_second"] == pytest.approx(32000 / medians["both_batch32"])


def test_two_engines_are_timed_in_turn(capsys: pytest.CaptureFixture):
    arguments = ["bench", "--json", "--threads", "1", "--rounds", "5", "--engine", "mofa", "--against", "mofa"]
    assert main(arguments) == 0
    ratios = json.loads(capsys.readouterr().out)["times_as_long_as_mofa"]
    assert list(ratios) == ["batch1", "batch32"]
    assert all(0.3 < ratio < 3.0 for ratio in ratios.values())  # of one and the same


def test_the_peak_is_that_of_a_machine():
    assert 1e9 < matmul_flops_per_second(1) < 1e13


def test_graphs_that_are_not_there_are_an_error_of_one_line(tmp_path: Path, capsys: pytest.CaptureFixture):
    assert main(["bench", "--graphs", "n" * 300]) == 2
    assert capsys.readouterr().err.endswith("encoder.onnx: File name too long\n")
    assert main(["bench", "--graphs", str(tmp_path)]) == 2
    assert capsys.readouterr().err.endswith("encoder.onnx: no such file\n")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the astronaut and a picture without a face."""
    folder = tmp_path_factory.mktemp("photos")
    Image.fromarray(astronaut()[:330, 60:390]).save(folder / "astronaut.png")
    Image.fromarray(np.full((200, 200, 3), 128, dtype=np.uint8)).save(folder / "blank.png")
    return folder


def test_the_way_from_a_photo_is_timed_part_by_part(photos: Path, capsys: pytest.CaptureFixture):
    pytest.importorskip("mediapipe", reason="the landmark detector is in the extra `prepare`")
    arguments = ["--photo", str(photos / "astronaut.png"), "--photos", str(photos), "--count", "10"]
    assert main(["bench", "--json", "--threads", "1", "--rounds", "1", *arguments]) == 0
    facts = json.loads(capsys.readouterr().out)
    timed = facts["photo_ms"]
    parts = ("read", "detect", "landmarks", "crop", "encode_and_decode")
    assert timed["all"] == pytest.approx(sum(timed[part] for part in parts))
    assert timed["files"] == pytest.approx(sum(timed.values()) - 2 * timed["all"] - timed["files"])
    assert all(milliseconds > 0 for milliseconds in timed.values())
    many = facts["many"]
    assert (many["photos"], many["failed"]) == (10, 5)
    assert 0 < many["memory_at_the_end_mb"] <= many["memory_peak_mb"]


def test_a_photo_without_a_face_is_that_photos_error(photos: Path, capsys: pytest.CaptureFixture):
    pytest.importorskip("mediapipe", reason="the landmark detector is in the extra `prepare`")
    assert main(["bench", "--rounds", "1", "--photo", str(photos / "blank.png")]) == 1
    assert capsys.readouterr().err.endswith("blank.png: no face found\n")


def test_a_folder_without_photos_is_an_error_of_one_line(tmp_path: Path, capsys: pytest.CaptureFixture):
    pytest.importorskip("mediapipe", reason="the landmark detector is in the extra `prepare`")
    assert main(["bench", "--rounds", "1", "--photos", str(tmp_path)]) == 2
    assert capsys.readouterr().err.endswith("no folder of photos\n")
