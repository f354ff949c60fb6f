# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from facefactor.errors import IncompatibleCode
from facefactor.evaluate.landmarks import (
    NETWORK_COLOUR,
    LandmarkMeasure,
    Truth,
    choose_box,
    draw_face,
    measure_photo,
    read_truth,
    summarise,
    write_landmark_report,
)
from facefactor.photo import photo_from_array
from facefactor.photo.detect import FaceBox
from facefactor.photo.landmarks import IBUG_51_FROM_478, Landmarks

BOX = FaceBox(40, 50, 80, 20, 0.9)
"""√area 40 px."""


def landmarks(inner_px: np.ndarray) -> Landmarks:
    points_px = np.full((478, 2), 1e4)
    points_px[list(IBUG_51_FROM_478)] = inner_px
    return Landmarks(points_px, np.ones(478))


@pytest.fixture
def inner_px() -> np.ndarray:
    return np.random.default_rng(0).uniform(50, 70, (51, 2))


def test_errors_are_per_cent_of_the_root_of_the_box(inner_px):
    truth = Truth(inner_px, FaceBox(0, 0, 100, 100, 1.0), yaw_deg=40.0)
    network, teacher = landmarks(inner_px + np.array([3, 4])), landmarks(inner_px + np.array([3, 0]))
    measure = measure_photo("a.jpg", BOX, network, teacher, truth, 1.0, 2.0)
    assert measure.agreement_percent == pytest.approx(100 * 4 / 40)
    assert measure.network_percent == pytest.approx(5.0)
    assert measure.teacher_percent == pytest.approx(3.0)
    assert (measure.yaw_deg, measure.found_by_network, measure.found_by_teacher) == (40.0, True, True)


def test_what_was_not_found_has_no_error(inner_px):
    truth = Truth(inner_px, BOX, yaw_deg=0.0)
    measure = measure_photo("a.jpg", BOX, landmarks(inner_px), None, truth, 1.0, 2.0)
    assert (measure.agreement_percent, measure.network_percent, measure.teacher_percent) == (None, 0.0, None)
    without_truth = measure_photo("a.jpg", BOX, landmarks(inner_px), landmarks(inner_px), None, 1.0, 2.0)
    assert (without_truth.agreement_percent, without_truth.network_percent) == (0.0, None)


def test_truth_is_read_with_the_first_pixels_centre_at_one_half(tmp_path: Path):
    points = np.random.default_rng(1).uniform(10, 200, (3, 68))
    savemat(tmp_path / "a.mat", {"pt3d_68": points, "Pose_Para": np.array([[0.1, -np.pi / 4, 0.2, 0, 0, 0, 1]])})
    truth = read_truth(tmp_path / "a.mat")
    np.testing.assert_allclose(truth.inner_px, points[:2, 17:].T - 0.5)
    assert truth.yaw_deg == pytest.approx(45)
    assert (truth.box.x, truth.box.y) == pytest.approx(tuple(points[:2].min(axis=1) - 0.5))


def test_another_mat_file_is_one_sentence(tmp_path: Path):
    savemat(tmp_path / "a.mat", {"x": np.zeros(3)})
    with pytest.raises(IncompatibleCode, match=r"a\.mat: holds no truth in the form of AFLW2000-3D"):
        read_truth(tmp_path / "a.mat")
    (tmp_path / "b.mat").write_bytes(b"no MATLAB")
    with pytest.raises(IncompatibleCode, match=r"b\.mat"):
        read_truth(tmp_path / "b.mat")


def test_with_truth_the_box_over_the_true_face_is_chosen(inner_px):
    near, far = FaceBox(45, 48, 40, 40, 0.7), FaceBox(200, 200, 90, 90, 0.9)
    truth = Truth(inner_px, FaceBox(45, 45, 40, 40, 1.0), 0.0)
    assert choose_box([far, near], None) is far
    assert choose_box([far, near], truth) is near
    assert choose_box([far], truth) is None
    assert choose_box([], None) is None


def measure(agreement: float | None, network: float | None = None, teacher: float | None = None, yaw=None):
    return LandmarkMeasure(
        "p.jpg", agreement, network, teacher, yaw, agreement is not None, True, network_ms=2.0, teacher_ms=30.0
    )


def test_the_summary_compares_both_on_the_same_photos():
    measures = [measure(1.0, 2.0, 4.0, 10.0), measure(3.0, 4.0, 8.0, 70.0), measure(None, None, 90.0, 80.0)]
    summary = summarise(measures, num_photos=5)
    assert (summary["photos"], summary["boxes"]) == (5, 3)
    assert (summary["found_by_network"], summary["found_by_teacher"]) == (2, 3)
    assert summary["agreement_percent_median"] == 2.0
    assert (summary["with_truth"], summary["network_percent_mean"], summary["teacher_percent_mean"]) == (2, 3.0, 6.0)
    assert (summary["with_truth_yaw_0_30"], summary["teacher_percent_median_yaw_60_90"]) == (1, 8.0)
    assert "with_truth_yaw_30_60" not in summary
    assert "with_truth" not in summarise([measure(1.0)], 1)


def test_the_report_says_it_all(tmp_path: Path):
    tiles = [np.full((256, 256, 3), value, np.uint8) for value in (10, 20, 30)] * 3
    summary = write_landmark_report(tmp_path, "0123", [measure(1.5)], 2, ["b.jpg: no face detected"], tiles)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["summary"] == summary
    assert report["failed"] == ["b.jpg: no face detected"]
    assert report["photos"][0]["agreement_percent"] == 1.5
    assert "| agreement percent median | 1.5 |" in (tmp_path / "report.md").read_text()
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (8 * 256, 2 * 256)
        assert [sheet.getpixel((x, y))[0] for x, y in ((5, 5), (300, 5), (5, 300), (300, 300))] == [10, 20, 30, 0]


def test_points_are_drawn_where_they_are():
    points_px = np.stack(np.meshgrid(np.linspace(60, 140, 24), np.linspace(60, 150, 20)), axis=-1).reshape(-1, 2)[:478]
    photo = photo_from_array(np.zeros((200, 200, 3), np.uint8), "black")
    tile = draw_face(photo, Landmarks(points_px, np.ones(478)), None, BOX)
    green = (tile == NETWORK_COLOUR).all(axis=-1)
    assert 2 * 478 < green.sum() <= 4 * 478
    assert draw_face(photo, None, None, BOX).max() == 0
