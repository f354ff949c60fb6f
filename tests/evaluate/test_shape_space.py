# SPDX-License-Identifier: Apache-2.0
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh

from facefactor.evaluate.report import Measure
from facefactor.evaluate.scans import read_james
from facefactor.evaluate.shape_fit import ModelSurface, ShapeFit, fit_mean, fit_shape
from facefactor.evaluate.shape_space import measure_fit, report
from facefactor.evaluate.target import Landmarks3d, Target, make_target
from facefactor.face.similarity import Similarity


def measure_ball(has_true_scale: bool, scale: float) -> Measure:
    """Measure points 1 mm (model) outside a ball, and landmarks 2 mm outside of it."""
    ball = trimesh.creation.icosphere(subdivisions=5, radius=50.0)
    directions = ball.vertices[::7] / 50.0
    marks = Landmarks3d("ibug68", np.arange(17, 68), 52.0 * directions[:51] / scale)
    points = 51.0 * directions / scale
    target = Target("ball", "scans", has_true_scale, (), points, ball.faces[:0], points, directions, marks)
    surface = SimpleNamespace(triangles=ball.faces, landmarks=lambda vertices, which: 50.0 * directions[:51])
    fit = ShapeFit(Similarity(scale, np.eye(3), np.zeros(3)), np.ones(80), np.zeros(52), np.asarray(ball.vertices))
    return measure_fit("model", surface, target, fit, "shape")


def test_the_error_of_a_ball_is_its_distance():
    measure = measure_ball(has_true_scale=False, scale=2.0)
    for value in (measure.median_mm, measure.mean_mm, measure.percentile95_mm):
        assert value == pytest.approx(1.0, abs=1e-3)
    assert measure.landmarks_mm == pytest.approx(2.0, abs=1e-6)
    assert set(measure.landmark_parts_mm) == {"brows", "nose", "eyes", "mouth"}
    assert measure.shape_rms == 1.0


def test_a_target_with_a_unit_is_measured_in_its_own_millimetres():
    measure = measure_ball(has_true_scale=True, scale=2.0)
    assert measure.mean_mm == pytest.approx(0.5, abs=1e-3)
    assert measure.landmarks_mm == pytest.approx(1.0, abs=1e-6)


def test_the_report_holds_every_fit_and_a_picture(tmp_path, surface, make_raw_face, monkeypatch):
    target = make_target(make_raw_face(np.zeros(80), np.zeros(52)))
    monkeypatch.setattr("facefactor.evaluate.shape_space.load_targets", lambda data: [target])
    measures = report(tmp_path / "data", tmp_path / "out", {"ours": surface.model})
    assert [measure.fit for measure in measures] == ["mean", "shape"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["ours_scans.png", "report.json", "report.md"]


@pytest.mark.data
def test_a_real_scan_is_within_half_a_millimetre(shared_data, surface: ModelSurface):
    target = make_target(read_james(shared_data / "scans" / "james.obj"))
    mean = measure_fit("ours", surface, target, fit_mean(surface, target), "mean")
    shape = measure_fit("ours", surface, target, fit_shape(surface, target), "shape")
    assert shape.mean_mm < 0.5
    assert shape.mean_mm < 0.5 * mean.mean_mm
    assert shape.landmarks_mm < mean.landmarks_mm
    assert shape.shape_rms < 1.5
