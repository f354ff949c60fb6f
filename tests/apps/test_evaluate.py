# SPDX-License-Identifier: Apache-2.0
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from facefactor.apps import evaluate
from facefactor.apps.cli import main
from facefactor.data.crops import mean_landmarks_mm
from facefactor.photo.detect import FaceBox
from facefactor.photo.landmarks import NUM_LANDMARKS, Landmarks
from facefactor.photo.read import Photo

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
    assert main(["evaluate", "portraits", "--data", str(photos), "--engine", "fit", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    (measure,) = report["photos"]
    assert measure["photo"] == "astronaut.png"
    # The bounds for medians over portraits are 1.5 and 0.6.
    assert measure["landmark_percent"] < 1.5
    assert measure["photometric"] < 0.65 * measure["baseline"]
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


class MeanFaceInEveryBox:
    """Stands in for both landmark detectors: lays the mean face into the box, moved by some pixels."""

    def __init__(self, shift_px: float, graph: Path | None = None) -> None:
        self.shift_px, self.facts = shift_px, {"weights_hash": str(graph)}

    def detect(self, photo: Photo, box: FaceBox) -> Landmarks:
        scale = box.height / 160
        points_px = mean_landmarks_mm()[:, :2] * (scale, -scale) + box.centre_px
        return Landmarks(points_px + np.array([self.shift_px, 0]), np.ones(NUM_LANDMARKS))


def test_landmarks_are_measured_against_teacher_and_truth(photos, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(evaluate, "NetworkLandmarks", lambda path: MeanFaceInEveryBox(2.0, path))
    monkeypatch.setattr(evaluate, "MediaPipeLandmarks", lambda: MeanFaceInEveryBox(0.0))
    data = tmp_path / "data"
    shutil.copytree(photos, data)
    points = np.random.default_rng(0).uniform((180, 60), (270, 170), (68, 2)).T
    truth = {"pt3d_68": np.concatenate([points, np.zeros((1, 68))]), "Pose_Para": np.zeros((1, 7))}
    savemat(data / "astronaut.mat", truth)
    command = ["evaluate", "landmarks", "--data", str(data), "--graphs", "graphs", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    printed = capsys.readouterr().out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["weights"] == str(Path("graphs") / "landmarks.onnx")
    (measure,) = report["photos"]
    assert 0.5 < measure["agreement_percent"] < 5  # 2 px of a face of about 100
    assert measure["network_percent"] != measure["teacher_percent"]
    assert report["failed"] == [f"{data / 'grey.png'}: no face detected"]
    assert "found_by_network: 1" in printed
    assert printed.endswith(f"{tmp_path / 'out' / 'report.md'}\n")


@pytest.mark.parametrize("name", ["gone", "n" * 300])
@pytest.mark.parametrize("suite", ["portraits", "landmarks"])
def test_no_folder_of_photos_is_one_line(suite, name, tmp_path, capsys):
    assert main(["evaluate", suite, "--data", str(tmp_path / name), "--out", str(tmp_path / "report")]) == 2
    assert capsys.readouterr().err == f"facefactor: {tmp_path / name}: no folder of photos\n"
