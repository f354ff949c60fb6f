# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facefactor.apps.bench import matmul_flops_per_second, measure_photo
from facefactor.apps.cli import main
from facefactor.errors import NoFaceFound


@pytest.fixture
def blank_photo(tmp_path: Path) -> Path:
    path = tmp_path / "blank.png"
    Image.fromarray(np.full((200, 200, 3), 128, dtype=np.uint8)).save(path)
    return path


def test_bench_times_an_untrained_network_and_prints_json(capsys: pytest.CaptureFixture):
    assert main(["bench", "--json", "--threads", "1", "--rounds", "2"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["encoder"] == "untrained"
    assert facts["machine"]["threads"] == 1
    medians = facts["median_ms"]
    for count in (1, 32):
        together = medians[f"encode_batch{count}"] + medians[f"decode_batch{count}"]
        assert medians[f"both_batch{count}"] == pytest.approx(together)
        # What else runs on a machine may slow the product more than the network.
        assert 0 < facts["encoder_share_of_peak"][f"batch{count}"] < 3
    assert facts["faces_per_second"] == pytest.approx(32000 / medians["both_batch32"])


def test_the_peak_is_that_of_a_machine():
    assert 1e9 < matmul_flops_per_second(1) < 1e13


def test_graphs_that_are_not_there_are_an_error_of_one_line(tmp_path: Path, capsys: pytest.CaptureFixture):
    assert main(["bench", "--graphs", str(tmp_path)]) == 2
    assert capsys.readouterr().err.endswith("encoder.onnx: no such file\n")


def test_a_photo_without_a_face_is_that_photos_error(blank_photo: Path):
    with pytest.raises(NoFaceFound, match=r"blank\.png: no face found"):
        measure_photo(None, blank_photo, 1)
