# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest
import trimesh

from facefactor.errors import AssetMissing
from facefactor.evaluate import scans
from facefactor.evaluate.scans import load_targets, read_cloud, read_head, read_james

GROUP_SIZES = {"chin": 17, "leye": 6, "reye": 6, "leyebrow": 5, "nose": 9, "reyebrow": 5, "mouth": 20}
"""In the order of james.ljson."""


def test_a_missing_scan_is_named(tmp_path):
    with pytest.raises(AssetMissing, match=r"LeePerrySmith\.glb"):
        next(load_targets(tmp_path))


def test_an_empty_folder_of_clouds_is_named(tmp_path):
    with pytest.raises(AssetMissing, match=r"has no \*_points\.npz"):
        scans._files(tmp_path, "*_points.npz")


def test_james_is_read_with_his_landmarks_in_ibug_order(tmp_path):
    (tmp_path / "james.obj").write_text("v 0 0 0\nv 1 0 0 0.5 0.5 0.5\nv 0 1.5 0\nvt 0 0\nf 1/1 2/1 3/1\n")
    ends = np.cumsum(list(GROUP_SIZES.values()))
    labels = [
        {"label": name, "mask": list(range(end - size, end))}
        for (name, size), end in zip(GROUP_SIZES.items(), ends, strict=True)
    ]
    points = [[float(number), 0.0, 0.0] for number in range(68)]
    marks = {"groups": {"LJSON": {"labels": labels, "landmarks": {"points": points}}}}
    (tmp_path / "james.ljson").write_text(json.dumps(marks))
    raw = read_james(tmp_path / "james.obj")
    assert raw.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1.5, 0]]
    assert raw.triangles.tolist() == [[0, 1, 2]]
    assert not raw.has_true_scale
    assert raw.ibug[[0, 17, 22, 27, 36, 42, 48], 0].tolist() == [0, 29, 43, 34, 17, 23, 48]  # seen in a plot


def test_a_mark_far_from_the_cloud_is_dropped(tmp_path):
    points = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    np.savez(tmp_path / "f1_angry_points.npz", points_mm=points)
    marks = np.concatenate([points[:70].copy()])
    marks[20] += 30.0
    np.savetxt(tmp_path / "f1_angry_landmarks.txt", marks)
    raw = read_cloud(tmp_path / "f1_angry_points.npz")
    assert raw.name == "f1_angry"
    assert raw.landmarks.ibug.tolist() == [number for number in range(17, 68) if number != 20]
    np.testing.assert_allclose(raw.landmarks.points[3], points[21], atol=1e-6)
    assert len(raw.triangles) == 0
    assert "jawOpen" in raw.expressions


def test_a_head_is_read_without_its_expression(tmp_path):
    neutral = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    np.savez(tmp_path / "007.npz", neutral=neutral, vertices_camera=neutral + 1)
    topology = {"triangles": np.array([[0, 1, 2]]), "face": np.arange(10), "landmarks68": np.arange(68)}
    np.savez(tmp_path / "topology.npz", **topology)
    raw = read_head(tmp_path / "007.npz")
    assert (raw.name, raw.group, raw.has_true_scale, raw.expressions) == ("head_007", "heads", True, ())
    np.testing.assert_allclose(raw.vertices, neutral)
    np.testing.assert_allclose(raw.landmarks.points, neutral[17:68])


def test_a_binary_gltf_file_is_read(tmp_path):
    box = trimesh.creation.box()
    box.export(tmp_path / "box.glb")
    vertices, triangles = scans._read_glb(tmp_path / "box.glb")
    np.testing.assert_allclose(vertices, box.vertices, atol=1e-6)
    np.testing.assert_array_equal(triangles, box.faces)


def test_the_kept_marks_are_places_on_triangles():
    marks = json.loads(scans.LEE_PERRY_SMITH_MARKS.read_text())
    weights = np.array(marks["weights"])
    assert np.array(marks["vertices"]).shape == weights.shape == (51, 3)
    assert weights.min() >= 0.0
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=2e-4)  # stored to four places
