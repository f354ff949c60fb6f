# SPDX-License-Identifier: Apache-2.0
"""The z-buffer kernel against its plain-torch twin, and at everything that could break it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import facefactor
from facefactor.render.rasterise import _bands, rasterise
from facefactor.render.reference import rasterise_reference


def random_soup(batch=2, faces=40, size_px=48, seed=0):
    """Unconnected random triangles that overlap, face both ways, and reach over the border."""
    generator = np.random.default_rng(seed)
    centres = generator.uniform(0, size_px, (batch, faces, 1, 2))
    vertices = (centres + generator.normal(0, 9, (batch, faces, 3, 2))).reshape(batch, -1, 2).astype(np.float32)
    depth = generator.uniform(300, 1500, (batch, faces * 3)).astype(np.float32)
    return vertices, depth, np.arange(faces * 3, dtype=np.int32).reshape(faces, 3)


def sphere_in_pixels(sphere, size_px):
    vertices, triangles = sphere
    pixels = size_px / 2 + 0.45 * size_px * vertices[:, :2] * [1, -1]
    return pixels[None].astype(np.float32), (1000 - 100 * vertices[None, :, 2]).astype(np.float32), triangles


@pytest.mark.parametrize("cull_back_faces", [True, False])
def test_the_kernel_agrees_with_the_reference(cull_back_faces):
    vertices, depth, triangles = random_soup()
    ids, barycentrics = rasterise(vertices, depth, triangles, 40, 48, cull_back_faces=cull_back_faces)
    tensors = torch.from_numpy(vertices).double(), torch.from_numpy(depth).double(), torch.from_numpy(triangles)
    expected_ids, expected = rasterise_reference(*tensors, 40, 48, cull_back_faces=cull_back_faces)
    np.testing.assert_array_equal(ids, expected_ids.numpy())
    np.testing.assert_allclose(barycentrics, expected.numpy(), atol=1e-5)
    assert 0.2 < (ids >= 0).mean() < 0.99


def test_barycentrics_give_the_pixel_centre_back():
    """Weighted by perspective, a triangle's corners in space project to the centre of the pixel they were found at."""
    vertices, depth, triangles = random_soup(batch=1)
    ids, barycentrics = rasterise(vertices, depth, triangles, 48, 48)
    rows, columns = np.nonzero(ids[0] >= 0)
    corners, weights = triangles[ids[0, rows, columns]], barycentrics[0, rows, columns]
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
    points = np.einsum("pk,pkc->pc", weights, vertices[0][corners] * depth[0][corners][..., None])
    pixels = points / np.einsum("pk,pk->p", weights, depth[0][corners])[:, None]
    np.testing.assert_allclose(pixels, np.stack((columns, rows), axis=-1) + 0.5, atol=1e-4)


def test_convention_the_centre_of_the_top_left_pixel_is_at_one_half():
    triangle = np.array([[[0.45, 0.45], [0.45, 0.6], [0.6, 0.45]]], dtype=np.float32)
    ids, _ = rasterise(triangle, np.ones((1, 3), np.float32), np.array([[0, 1, 2]]), 3, 3)
    assert np.argwhere(ids[0] == 0).tolist() == [[0, 0]]


def test_convention_front_faces_run_counter_clockwise_with_y_up():
    counter_clockwise = np.array([[[0, 4], [4, 4], [0, 0]]], dtype=np.float32)
    depth = np.ones((1, 3), np.float32)
    seen, _ = rasterise(counter_clockwise, depth, np.array([[0, 1, 2]]), 4, 4)
    hidden, _ = rasterise(counter_clockwise, depth, np.array([[0, 2, 1]]), 4, 4)
    shown, _ = rasterise(counter_clockwise, depth, np.array([[0, 2, 1]]), 4, 4, cull_back_faces=False)
    assert (seen == 0).any()
    assert (hidden == -1).all()
    np.testing.assert_array_equal(shown, seen)


def test_shared_edges_through_pixel_centres_have_neither_holes_nor_double_hits(plane):
    """In a grid whose every edge and diagonal runs through pixel centres, each centre belongs to one triangle."""
    vertices, triangles = plane(8)
    pixels = ((vertices[None, :, :2] * [1, -1] + 1) * 16 + 0.5).astype(np.float32)
    depth = np.full(pixels.shape[:2], 500, np.float32)
    ids, _ = rasterise(pixels, depth, triangles, 34, 34)
    assert (ids >= 0).sum() == 32 * 32
    hits = sum((rasterise(pixels, depth, triangle[None], 34, 34)[0] >= 0).astype(int) for triangle in triangles)
    assert hits.max() == 1


@pytest.mark.parametrize("shift_px", [0.0, 0.5, 0.123])
def test_a_closed_mesh_has_no_holes(icosphere, shift_px):
    pixels, depth, triangles = sphere_in_pixels(icosphere(2), 64)
    ids, _ = rasterise(pixels + np.float32(shift_px), depth, triangles, 66, 66)
    for row in ids[0]:
        covered = np.flatnonzero(row >= 0)
        assert covered.size == 0 or covered[-1] - covered[0] + 1 == covered.size


def test_of_two_equally_near_triangles_the_first_wins():
    triangle = np.array([[[0, 8], [8, 8], [0, 0]]] * 1, dtype=np.float32)
    ids, _ = rasterise(triangle, np.full((1, 3), 7, np.float32), np.array([[0, 1, 2], [0, 1, 2]]), 8, 8)
    assert set(np.unique(ids)) == {-1, 0}


def test_the_result_does_not_depend_on_threads_or_batching(monkeypatch):
    monkeypatch.setattr("facefactor.render.rasterise.MIN_ROWS_PER_BAND", 5)
    vertices, depth, triangles = random_soup(batch=3)
    expected = rasterise(vertices, depth, triangles, 48, 48, num_threads=1)
    for num_threads in (2, 7, None):
        for one, other in zip(
            rasterise(vertices, depth, triangles, 48, 48, num_threads=num_threads), expected, strict=True
        ):
            np.testing.assert_array_equal(one, other)
    alone, _ = rasterise(vertices[1:2], depth[1:2], triangles, 48, 48)
    np.testing.assert_array_equal(alone[0], expected[0][1])


@pytest.mark.parametrize(("batch", "height", "threads", "expected"), [(1, 2048, 4, 4), (1, 300, 4, 1), (8, 2048, 4, 8)])
def test_bands_cover_every_row_once(batch, height, threads, expected):
    bands = list(_bands(batch, height, threads))
    assert len(bands) == expected
    assert sum(bottom - top for _, top, bottom in bands) == batch * height


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38, -3e38])
@pytest.mark.parametrize("column", [0, 1, 2])
def test_corners_that_are_not_finite_or_far_away_break_nothing(bad, column):
    vertices, depth, triangles = random_soup(batch=1, faces=4)
    if column < 2:
        vertices[0, 0, column] = bad
    else:
        depth[0, 0] = bad
    ids, barycentrics = rasterise(vertices, depth, triangles, 48, 48, cull_back_faces=False)
    rest, _ = rasterise(vertices, depth, triangles[1:], 48, 48, cull_back_faces=False)
    assert np.isfinite(barycentrics).all()
    if not np.isfinite(bad):
        np.testing.assert_array_equal(ids, np.where(rest >= 0, rest + 1, -1))


@pytest.mark.parametrize("behind", [0.0, -5.0])
def test_a_triangle_that_reaches_behind_the_camera_is_left_out(behind):
    triangle = np.array([[[0, 4], [4, 4], [0, 0]]], dtype=np.float32)
    ids, _ = rasterise(triangle, np.array([[900, 900, behind]], np.float32), np.array([[0, 1, 2]]), 4, 4)
    assert (ids == -1).all()


def test_triangles_without_area_and_slivers_break_nothing():
    points = np.array([[[5, 5], [5, 5], [5, 5], [0, 0], [20, 20], [10, 10 + 1e-6], [0, 0.5], [20, 0.5]]], np.float32)
    corners = np.array([[0, 1, 2], [0, 1, 3], [3, 4, 5], [3, 5, 4], [6, 7, 0], [6, 7, 7]])
    ids, barycentrics = rasterise(points, np.full((1, 8), 100, np.float32), corners, 20, 20, cull_back_faces=False)
    assert np.isfinite(barycentrics).all()
    np.testing.assert_allclose(barycentrics[ids >= 0].sum(-1), 1, atol=1e-6)


def test_nothing_to_draw_gives_empty_pictures():
    no_triangles = np.zeros((0, 3), np.int32)
    ids, barycentrics = rasterise(np.zeros((2, 0, 2)), np.zeros((2, 0)), no_triangles, 3, 4)
    assert (ids == -1).all()
    assert barycentrics.shape == (2, 3, 4, 3)
    assert rasterise(np.zeros((0, 3, 2)), np.zeros((0, 3)), no_triangles, 3, 4)[0].shape == (0, 3, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vertices_px": np.zeros((3, 2))}, "vertices_px must have shape"),
        ({"vertices_px": np.zeros((1, 3, 3))}, "vertices_px must have shape"),
        ({"depth_mm": np.zeros((1, 4))}, r"depth_mm must have shape \(1, 3\), got \(1, 4\)"),
        ({"triangles": np.zeros((1, 4), int)}, "triangles must be integers"),
        ({"triangles": np.zeros((1, 3))}, "triangles must be integers"),
        ({"triangles": np.array([[0, 1, 3]])}, "name the 3 vertices, got 0 to 3"),
        ({"triangles": np.array([[0, 1, -1]])}, "name the 3 vertices, got -1 to 1"),
        ({"height": 0}, "at least one pixel, got 0×5"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change, message):
    arguments = {
        "vertices_px": np.zeros((1, 3, 2)),
        "depth_mm": np.ones((1, 3)),
        "triangles": np.array([[0, 1, 2]]),
        "height": 4,
        "width": 5,
    }
    with pytest.raises(ValueError, match=message):
        rasterise(**arguments | change)


USE_THE_RASTERISER = """
import sys
import numpy as np
from facefactor.render.rasterise import rasterise
assert "numba" not in sys.modules and "torch" not in sys.modules
rasterise(np.zeros((1, 3, 2)), np.ones((1, 3)), np.array([[0, 1, 2]]), 4, 4)
from facefactor.render.zbuffer_kernel import draw_triangles
print(sum(draw_triangles.stats.cache_hits.values()), sum(draw_triangles.stats.cache_misses.values()))
"""


def run_installed_copy(folder: Path, **environment: str) -> str:
    """Use the rasteriser of a copied package in a fresh process and return its cache hits and misses."""
    result = subprocess.run(
        [sys.executable, "-c", USE_THE_RASTERISER],
        env={**os.environ, "PYTHONPATH": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_an_installed_package_compiles_once_and_then_loads_the_kernel(tmp_path):
    package = tmp_path / "facefactor"
    (package / "render").mkdir(parents=True)
    for name in ("__init__.py", "render/__init__.py", "render/rasterise.py", "render/zbuffer_kernel.py", "compiled.py"):
        shutil.copy(Path(facefactor.__file__).parent / name, package / name)
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    assert run_installed_copy(tmp_path, **environment) == "0 1"
    assert run_installed_copy(tmp_path, **environment) == "1 0"


def test_where_nothing_can_be_cached_the_kernel_is_compiled_all_the_same(monkeypatch):
    from facefactor import compiled

    def njit_without_cache(function, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return function

    monkeypatch.setattr(compiled.numba, "njit", njit_without_cache)
    assert compiled.compile_kernel(max) is max
