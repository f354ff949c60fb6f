# SPDX-License-Identifier: Apache-2.0
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facefactor.apps.cli import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's sample photo as its example writes it, and a picture without a face."""
    folder = tmp_path_factory.mktemp("photos")
    example = ROOT / "examples" / "sample_photo.py"
    subprocess.run([sys.executable, str(example), str(folder / "astronaut.png")], check=True)
    Image.fromarray(np.full((64, 64, 3), 120, np.uint8)).save(folder / "grey.png")
    return folder


def test_portraits_are_measured_beside_the_baseline(photos, tmp_path, capsys):
    pytest.importorskip("mediapipe", reason="the landmark detector is in the extra `prepare`")
    assert main(["evaluate", "portraits", "--data", str(photos), "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    (measure,) = report["photos"]
    assert measure["photo"] == "astronaut.png"
    # The bounds for portraits; the astronaut is an easy one.
    assert measure["landmark_percent"] < 1.5
    assert measure["photometric"] < 0.6 * measure["baseline"]
    assert report["failed"] == [f"{photos / 'grey.png'}: no face found"]
    assert "faces_found: 1" in printed
    assert "| faces found | 1 |" in (tmp_path / "report.md").read_text()
    with Image.open(tmp_path / "sheet_00.png") as sheet:
        assert sheet.height == 256


def test_a_folder_without_photos_is_one_line(tmp_path, capsys):
    assert main(["evaluate", "portraits", "--data", str(tmp_path), "--out", str(tmp_path / "report")]) == 2
    assert capsys.readouterr().err == f"facefactor: {tmp_path}: no folder of photos\n"
    assert not (tmp_path / "report").exists()


def test_an_unknown_suite_is_wrong_use(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "nothing", "--data", str(tmp_path), "--out", str(tmp_path)])
    assert ended.value.code == 2
    assert "invalid choice" in capsys.readouterr().err
