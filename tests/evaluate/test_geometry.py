# SPDX-License-Identifier: Apache-2.0
"""Distances of reconstructions to scans, at scans that are the model itself."""

import dataclasses
import json

import numpy as np
import pytest

from facefactor.apps import evaluate_geometry
from facefactor.apps.cli import main
from facefactor.errors import AssetMissing
from facefactor.evaluate.geometry import ScannedPhoto, geometry_error, scanned_photos
from facefactor.evaluate.target import make_target

NEUTRAL = np.zeros(52)


@pytest.fixture(scope="module")
def own_shape():
    return 0.8 * np.random.default_rng(0).normal(size=80)


@pytest.fixture(scope="module")
def target(make_raw_face, own_shape):
    return make_target(dataclasses.replace(make_raw_face(own_shape, NEUTRAL), has_true_scale=True))


def test_the_right_face_is_at_no_distance(surface, target, own_shape):
    error = geometry_error(surface, own_shape, NEUTRAL, target)
    assert max(dataclasses.astuple(error)) < 0.05


def test_another_face_is_farther_and_its_own_expression_too(surface, target, own_shape):
    mean_face = geometry_error(surface, np.zeros(80), NEUTRAL, target)
    assert 0.5 < mean_face.by_surface_and_size <= mean_face.by_surface + 0.01 < mean_face.by_landmarks + 0.02
    grin = NEUTRAL.copy()
    grin[[23, 24, 17]] = 0.8
    assert geometry_error(surface, own_shape, grin, target).by_surface > 0.2


def test_only_the_size_is_free_when_it_is_to_be(surface, make_raw_face, own_shape):
    raw = make_raw_face(own_shape, NEUTRAL)
    landmarks = dataclasses.replace(raw.landmarks, points=1.1 * raw.landmarks.points)
    grown = dataclasses.replace(raw, vertices=1.1 * raw.vertices, ibug=1.1 * raw.ibug, landmarks=landmarks)
    metric = geometry_error(surface, own_shape, NEUTRAL, make_target(dataclasses.replace(grown, has_true_scale=True)))
    assert metric.by_surface > 1.0
    assert metric.by_surface_and_size < 0.1
    without_unit = geometry_error(surface, own_shape, NEUTRAL, make_target(grown))
    assert without_unit.by_landmarks < 0.1


def test_a_folder_without_scans_is_named(tmp_path, capsys):
    with pytest.raises(AssetMissing, match="has no photos of scanned faces"):
        next(scanned_photos(tmp_path))
    assert main(["evaluate", "geometry", "--data", str(tmp_path), "--out", str(tmp_path / "r")]) != 0


@pytest.fixture(scope="module")
def scanned(shared_data) -> list[ScannedPhoto]:
    return list(scanned_photos(shared_data))


@pytest.mark.data
def test_the_projects_scans_have_photos(scanned):
    groups = {group: [photo for photo in scanned if photo.group == group] for group in ("scans", "real scans", "heads")}
    assert [len(photos) for photos in groups.values()] == [24, 13, 40]
    assert all(photo.path.is_file() for photo in scanned)
    assert {photo.target.name for photo in groups["scans"]} == {"lee_perry_smith", "james"}


@pytest.mark.data
def test_every_engine_is_measured_on_every_group(shared_data, scanned, tmp_path, monkeypatch, capsys):
    first = {photo.group: photo for photo in reversed(scanned)}
    monkeypatch.setattr(evaluate_geometry, "scanned_photos", lambda data: iter(first.values()))
    assert main(["evaluate", "geometry", "--data", str(shared_data), "--out", str(tmp_path)]) == 0
    tables = json.loads((tmp_path / "report.json").read_text())["tables"]
    assert [table["title"] for table in tables] == ["Scans", "Real scans", "Heads"]
    for table in tables:
        names = [row[0] for row in table["rows"]]
        assert names == ["mean face", "inverse", "mofa", "multilevel, base", "multilevel, final", "multilevel, refined"]
        assert all(0.3 < row[3] < 6.0 for row in table["rows"])
    assert capsys.readouterr().out.startswith("# Geometry")
