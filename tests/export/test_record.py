# SPDX-License-Identifier: Apache-2.0
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from facefactor.code.names import EXPRESSION_NAMES
from facefactor.errors import AssetMissing, IncompatibleCode
from facefactor.export.record import (
    CameraRecord,
    FaceBoxPx,
    FaceRecord,
    Quality,
    read_edited_record,
    read_face_record,
    write_face_record,
)


def face_record(seed: int = 0) -> FaceRecord:
    """A face in a photo of 12,000 px with numbers that need all their digits."""
    random = np.random.default_rng(seed)
    rotation = np.linalg.qr(random.normal(size=(3, 3)))[0]
    rotation *= np.linalg.det(rotation)
    return FaceRecord(
        photo_name="Jürgen & 友.jpg",
        photo_width=12000,
        photo_height=9000,
        engine="fit",
        weights_hash=None,
        model_hash="0123abcd",
        face_box_px=FaceBoxPx(x=5000.1, y=3000.2, width=2000.3, height=2500.4),
        camera=CameraRecord(
            K=np.array([[54321.98765432, 0.0, 6123.456789], [0.0, 54321.98765432, 4321.987654], [0.0, 0.0, 1.0]]),
            R=rotation,
            t=np.array([12.3456789012, -45.6789012345, -1234.56789012]),
            yaw_deg=12.3,
            pitch_deg=-4.5,
            roll_deg=179.9,
            distance_mm=1234.56789,
        ),
        shape=random.normal(size=80),
        expression=random.uniform(size=52),
        reflectance=random.normal(size=80),
        illumination=random.normal(size=(9, 3)),
        geometry_corrective=np.empty(0),
        reflectance_corrective=np.empty(0),
        landmarks_68_px=random.uniform(0, 12000, size=(68, 2)),
        quality=Quality(photometric=0.0123, landmark_px=1.5, confidence=0.9),
    )


def projected_px(record: FaceRecord, shape_basis: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Project a linear shape with the record's camera: design section 3, written out once more."""
    head = mean + np.einsum("k,kvx->vx", record.shape, shape_basis)
    x, y, z = record.camera.R @ head.T + record.camera.t[:, None]
    return (record.camera.K @ np.stack([x, -y, -z]) / -z)[:2].T


def test_reading_gives_back_what_was_written(tmp_path):
    record = face_record()
    write_face_record(tmp_path / "0.json", record)
    read = read_face_record(tmp_path / "0.json")
    for name in ("shape", "expression", "reflectance", "illumination", "landmarks_68_px"):
        np.testing.assert_allclose(getattr(read, name), getattr(record, name), rtol=1e-8)
    for name in ("photo_name", "photo_width", "engine", "weights_hash", "model_hash", "face_box_px", "quality"):
        assert getattr(read, name) == getattr(record, name)
    np.testing.assert_allclose(read.camera.R, record.camera.R, atol=1e-8)
    assert (read.camera.yaw_deg, read.camera.pitch_deg, read.camera.roll_deg) == (12.3, -4.5, 179.9)


def test_rounding_moves_no_projected_vertex_by_a_hundredth_of_a_pixel(tmp_path):
    random = np.random.default_rng(1)
    shape_basis, mean = random.normal(0, 3.0, size=(80, 500, 3)), random.uniform(-120, 120, size=(500, 3))
    for seed in range(5):
        record = face_record(seed)
        write_face_record(tmp_path / "0.json", record)
        before, after = (projected_px(r, shape_basis, mean) for r in (record, read_face_record(tmp_path / "0.json")))
        assert np.abs(before - after).max() < 0.01


def test_every_float32_survives_the_file_exactly(tmp_path):
    record = replace(face_record(), shape=np.random.default_rng(2).normal(size=80).astype(np.float32))
    write_face_record(tmp_path / "0.json", record)
    read = read_face_record(tmp_path / "0.json").shape.astype(np.float32)
    np.testing.assert_array_equal(read, record.shape.astype(np.float32))


def test_the_same_face_gives_the_same_bytes_also_after_reading(tmp_path):
    write_face_record(tmp_path / "a.json", face_record())
    write_face_record(tmp_path / "b.json", face_record())
    write_face_record(tmp_path / "c.json", read_face_record(tmp_path / "a.json"))
    first = (tmp_path / "a.json").read_bytes()
    assert first == (tmp_path / "b.json").read_bytes() == (tmp_path / "c.json").read_bytes()


def test_the_file_has_the_documented_keys_in_order(tmp_path):
    write_face_record(tmp_path / "0.json", face_record())
    values = json.loads((tmp_path / "0.json").read_bytes())
    assert values["schema"] == "facefactor.face/1"
    assert list(values) == [
        "schema", "photo", "engine", "weights_hash", "model_hash", "face_box_px", "camera", "shape", "expression",
        "reflectance", "illumination", "geometry_corrective", "reflectance_corrective", "landmarks_68_px", "quality",
    ]  # fmt: skip
    assert list(values["camera"]) == ["K", "R", "t", "euler_deg", "distance_mm"]
    assert tuple(values["expression"]) == EXPRESSION_NAMES
    assert values["photo"] == {"name": "Jürgen & 友.jpg", "width": 12000, "height": 9000}


def test_an_edited_face_keeps_what_its_photo_shows(tmp_path):
    seen, path = face_record(), tmp_path / "0.json"
    edited = replace(seen, expression=1.0 - seen.expression, shape=seen.shape + 1.0)
    write_face_record(path, edited, seen)
    assert list(json.loads(path.read_bytes())["seen"]) == ["shape", "expression"]
    again, in_photo = read_edited_record(path)
    write_face_record(tmp_path / "edited.json", again, in_photo)
    write_face_record(tmp_path / "seen.json", in_photo)
    write_face_record(tmp_path / "unedited.json", seen, seen)
    assert (tmp_path / "edited.json").read_bytes() == path.read_bytes()
    assert (tmp_path / "seen.json").read_bytes() == (tmp_path / "unedited.json").read_bytes()
    record, same = read_edited_record(tmp_path / "unedited.json")
    assert record is same


def test_a_photo_name_that_is_not_utf8_can_be_written(tmp_path):
    name = b"caf\xe9.jpg".decode("utf-8", "surrogateescape")
    write_face_record(tmp_path / "0.json", replace(face_record(), photo_name=name))
    assert read_face_record(tmp_path / "0.json").photo_name == name


def test_a_record_does_not_share_its_arrays(tmp_path):
    shape = np.zeros(80)
    record = replace(face_record(), shape=shape)
    shape[0] = 5.0
    assert record.shape[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        record.shape[0] = 1.0


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("shape", np.zeros(79), "shape: wanted 80 numbers, got 79"),
        ("shape", np.full(80, np.nan), "shape: holds NaN or infinity"),
        ("illumination", np.full((9, 3), np.inf), "illumination: holds NaN or infinity"),
        ("expression", np.full(52, 1.01), "expression: weights must lie in [0, 1], got 1.01 to 1.01"),
        ("geometry_corrective", np.zeros((2, 2)), "geometry_corrective: wanted any number of numbers, got 2 x 2"),
        ("photo_width", 0, "photo: the size must be positive, got 0 x 9000"),
        ("shape", np.full(80, -20.1), "shape: wanted numbers from -20 to 20, got one of 20.1"),
        ("reflectance", np.full(80, 1e300), "reflectance: wanted numbers from -20 to 20"),
        ("geometry_corrective", np.full(3, 21.0), "geometry_corrective: wanted numbers from -20 to 20"),
        ("reflectance_corrective", np.full(3, 21.0), "reflectance_corrective: wanted numbers from -20 to 20"),
        ("illumination", np.full((9, 3), 10001.0), "illumination: wanted numbers from -10000 to 10000, got one of"),
    ],
)
def test_a_wrong_part_is_refused_by_name(field, value, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(face_record(), **{field: value})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("K", np.diag([-1.0, 1.0, 1.0]), "camera.K: wanted positive focal lengths and the last row 0 0 1"),
        ("K", np.diag([1.0, 0.0, 1.0]), "camera.K: wanted positive focal lengths"),
        ("K", np.diag([1.0, 1.0, 2.0]), "camera.K: wanted positive focal lengths"),
        ("R", np.eye(3) * 1.002, "camera.R: is no rotation"),
        ("R", np.eye(3) * 1e300, "camera.R: is no rotation"),
        ("R", np.zeros((3, 3)), "camera.R: is no rotation"),
        ("R", np.diag([1.0, 1.0, -1.0]), "camera.R: is no rotation"),
        ("t", np.array([0.0, 0.0, 1000.0]), "camera.t: wanted the head before the camera, z below -100 and no number"),
        ("t", np.array([0.0, 0.0, -99.0]), "camera.t: wanted the head before the camera"),
        ("t", np.array([0.0, 1e300, -1000.0]), "camera.t: wanted the head before the camera"),
    ],
)
def test_a_camera_that_no_photo_has_is_refused_by_name(field, value, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(face_record().camera, **{field: value})


def test_a_camera_out_of_proportion_to_the_photo_is_refused():
    record = face_record()
    camera = replace(record.camera, K=np.array([[1e6, 0.0, -1.3e6], [0.0, 1e6, 0.0], [0.0, 0.0, 1.0]]))
    with pytest.raises(ValueError, match=r"camera.K: a number is more than 100 times the photo's longer side"):
        replace(record, camera=camera)


def test_a_confidence_above_one_is_refused():
    with pytest.raises(
        ValueError, match=re.escape("quality.confidence: wanted a finite number from 0.0 to 1.0, got 1.5")
    ):
        Quality(photometric=0.0, landmark_px=0.0, confidence=1.5)


def _without(path: str):
    def change(values: dict) -> None:
        *parents, last = path.split(".")
        for key in parents:
            values = values[key]
        del values[last]

    return change


def _with(name: str, value: object):
    return lambda values: values.__setitem__(name, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_with("schema", "facefactor.face/2"), "schema: this facefactor reads 'facefactor.face/1', the file holds"),
        (_without("schema"), "schema: this facefactor reads 'facefactor.face/1', the file holds None"),
        (_without("shape"), "shape: missing"),
        (_without("camera.K"), "camera.K: missing"),
        (_without("camera.euler_deg.yaw"), "camera.euler_deg.yaw: missing"),
        (_without("quality.confidence"), "quality.confidence: missing"),
        (_without("expression.jawOpen"), "expression: missing or unknown names: jawOpen"),
        (_with("camera", []), "camera.K: missing"),
        (
            _with("expression", {**dict.fromkeys(EXPRESSION_NAMES, 0.5), "jawOpen": [0.5]}),
            "expression: wanted 52 numbers",
        ),
        (_with("engine", 3), "engine: wanted str, got 3"),
        (_with("photo", {"name": "a", "width": "9", "height": 9}), "photo.width: wanted int, got '9'"),
        (_with("reflectance", [1.0] * 81), "reflectance: wanted 80 numbers, got 81"),
        (_with("photo", {"name": "a", "width": True, "height": 9}), "photo.width: wanted int, got True"),
        (_with("photo", {"name": "a", "width": 10**400, "height": 9}), "photo: the size is larger than the limit"),
        (_with("reflectance", ["x"] * 80), "reflectance: wanted 80 numbers"),
        (_with("reflectance", ["0.5"] * 80), "reflectance: wanted 80 numbers"),
        (_with("reflectance", [0.5] * 79 + [True]), "reflectance: wanted 80 numbers"),
        (_with("reflectance", [10**400] * 80), "reflectance: wanted 80 numbers"),
        (_with("expression", dict.fromkeys(EXPRESSION_NAMES, "0.5")), "expression: wanted 52 numbers"),
        (_with("expression", dict.fromkeys(EXPRESSION_NAMES, True)), "expression: wanted 52 numbers"),
        (_with("illumination", [[1, 2, 3]] * 8 + [[1, 2]]), "illumination: wanted 9 x 3 numbers"),
        (_with("landmarks_68_px", [[float("nan"), 0.0]] * 68), "landmarks_68_px: holds NaN or infinity"),
        (_with("seen", 3), "seen: wanted dict, got 3"),
        (_with("seen", {"engine": "fit"}), "seen: unknown names: engine"),
        (_with("seen", {"shape": [1.0] * 81}), "seen: shape: wanted 80 numbers, got 81"),
        (_with("seen", {"expression": {"jawOpen": 0.5}}), "seen: expression: missing or unknown names: browDownLeft"),
        (
            _with("face_box_px", {"x": None, "y": 0, "width": 1, "height": 1}),
            "face_box_px.x: wanted a number, got None",
        ),
        (
            _with("face_box_px", {"x": 10**400, "y": 0, "width": 1, "height": 1}),
            "face_box_px.x: wanted a number, got 1",
        ),
        (
            _with("face_box_px", {"x": True, "y": 0, "width": 1, "height": 1}),
            "face_box_px.x: wanted a number, got True",
        ),
        (_with("face_box_px", {"x": "1", "y": 0, "width": 1, "height": 1}), "face_box_px.x: wanted a number, got '1'"),
        (
            _with("seen", {"geometry_corrective": [1.0]}),
            "seen: geometry_corrective: wanted 0 numbers as in the face itself, got 1",
        ),
    ],
)
def test_a_changed_file_is_refused_with_its_name_and_the_field(tmp_path, change, message):
    write_face_record(tmp_path / "0.json", face_record())
    values = json.loads((tmp_path / "0.json").read_bytes())
    change(values)
    (tmp_path / "0.json").write_text(json.dumps(values))
    with pytest.raises(IncompatibleCode, match=re.escape(f"{tmp_path / '0.json'}: {message}")):
        read_face_record(tmp_path / "0.json")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[1, 2]", b"null"])
def test_a_file_that_is_no_face_is_refused(tmp_path, content):
    (tmp_path / "0.json").write_bytes(content)
    with pytest.raises(IncompatibleCode, match=re.escape(f"{tmp_path / '0.json'}: ") + "(not a JSON file|schema: )"):
        read_face_record(tmp_path / "0.json")


@pytest.mark.parametrize("depth", [900, 980, 985, 990, 1000, 200_000])
def test_a_file_that_is_nested_too_deeply_is_refused(tmp_path, depth):
    (tmp_path / "0.json").write_text('{"schema": ' + "[" * depth + "]" * depth + "}")
    with pytest.raises(IncompatibleCode, match=r"0.json: (not a JSON file: nested too deeply|schema: )"):
        read_face_record(tmp_path / "0.json")


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(AssetMissing, match=r"nowhere.json: cannot be read: No such file"):
        read_face_record(Path(tmp_path / "nowhere.json"))
    with pytest.raises(AssetMissing, match=r"cannot be read: Is a directory"):
        read_face_record(tmp_path)
