# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest
import torch

from facefactor.camera.pose import euler_deg_from_matrix, matrix_from_axis_angle, move_to_camera
from facefactor.camera.projection import crop_intrinsics, project_points
from facefactor.code.face_code import FaceCode
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.data.photo_effects import end_photo
from facefactor.data.random_codes import draw_light
from facefactor.data.surfaces import split_light
from facefactor.data.synthetic import SyntheticFaces, SyntheticSettings
from facefactor.data.synthetic_face import SyntheticFace
from facefactor.data.synthetic_sample import cut_encoder_crop, decode_synthetic_sample, encode_synthetic_sample
from facefactor.encode import ENCODER_CROP_PX
from facefactor.errors import IncompatibleCode
from facefactor.face.landmarks import read_points
from facefactor.face.model import load_face_model
from facefactor.face.morph import MorphableFace
from facefactor.photo.crop import face_crop
from facefactor.photo.landmarks import Landmarks
from facefactor.render.picture import View

COUNT = 12
UPPER_LIP_INSIDE, LOWER_LIP_INSIDE, CHEEK = 13, 14, 50


@pytest.fixture(scope="module")
def faces() -> SyntheticFaces:
    return SyntheticFaces(SyntheticSettings(seed=3))


@pytest.fixture(scope="module")
def made(faces: SyntheticFaces) -> list[SyntheticFace]:
    return faces.make(range(COUNT))


def with_settings(faces: SyntheticFaces, **changes: object) -> SyntheticFaces:
    return SyntheticFaces(dataclasses.replace(faces.settings, **changes), model=faces.model)


def test_projecting_the_code_gives_the_landmarks(made: list[SyntheticFace]) -> None:
    model = load_face_model()
    face = MorphableFace(model)
    corners = torch.from_numpy(model.landmarks478_vertices).long()
    weights = torch.from_numpy(model.landmarks478_weights).float()
    for item in made:
        code = FaceCode.from_dict(item.code.to_dict()).map(lambda part: torch.from_numpy(part)[None])
        landmarks = read_points(face.vertices(code.shape, code.expression), corners, weights)
        camera = move_to_camera(landmarks, matrix_from_axis_angle(code.rotation), code.translation)
        projected = project_points(camera[0].numpy(), crop_intrinsics(ENCODER_CROP_PX))
        assert np.abs(projected - item.landmarks_px).max() < 0.01


def test_bare_drawing_is_the_reference_renderers_picture(faces: SyntheticFaces, made: list[SyntheticFace]) -> None:
    face, model = MorphableFace(faces.model), faces.model
    for item in made[:3]:
        code = item.code.map(lambda part: torch.from_numpy(part)[None])
        vertices = face.subdivide(face.vertices(code.shape, code.expression))
        posed = move_to_camera(vertices, matrix_from_axis_angle(code.rotation), code.translation)[0].numpy()
        K, size = crop_intrinsics(ENCODER_CROP_PX), (ENCODER_CROP_PX, ENCODER_CROP_PX)
        view = View(posed, K, model.triangles_subdivided, *size)
        expected = 255.0 * view.picture(face.albedo(code.reflectance)[0].numpy(), item.code.illumination)
        difference = np.abs(faces.render_bare(item.code) - expected)
        # rounding to bytes is half a level; on the outline a sub-pixel may fall to the other side in float32
        assert np.percentile(difference, 99.5) <= 1.0
        assert difference.mean() < 0.3


def test_without_anything_around_the_picture_is_the_bare_one_where_light_is_even(faces: SyntheticFaces) -> None:
    plain = with_settings(
        faces,
        effects=False,
        hat_share=0.0,
        scarf_share=0.0,
        glasses_share=0.0,
        hand_share=0.0,
        clothes_share=0.0,
        ended_share=0.0,
    )
    for item in plain.make(range(4)):
        bare = plain.render_bare(item.code).astype(float)
        row, column = item.landmarks_px[[50, 280, 205, 425, 195, 18]].astype(int).T[::-1]  # cheeks, ridge, chin
        inside = (row >= 0) & (column >= 0) & (row < len(bare)) & (column < len(bare))
        difference = (item.picture_srgb[row, column] - bare[row, column])[inside]
        assert np.median(np.abs(difference)) < 25  # shadows, gloss and pores, no other face


def test_a_smile_shows_light_teeth(faces: SyntheticFaces) -> None:
    plain = with_settings(faces, effects=False, hand_share=0.0)
    smile = ("mouthSmileLeft", "mouthSmileRight", "mouthUpperUpLeft", "mouthUpperUpRight", "jawOpen")
    expression = np.zeros((1, len(EXPRESSION_NAMES)), dtype=np.float32)
    expression[0, [EXPRESSION_NAMES.index(name) for name in smile]] = (0.8, 0.8, 0.8, 0.8, 0.2)
    (face,) = plain.redraw(FaceCode.neutral((1,)).with_expression(expression), [0])
    column, row = face.landmarks_px[[UPPER_LIP_INSIDE, LOWER_LIP_INSIDE]].mean(axis=0).astype(int)
    cheek_column, cheek_row = face.landmarks_px[CHEEK].astype(int)
    assert face.picture_srgb[row - 1, column].mean() > 0.8 * face.picture_srgb[cheek_row, cheek_column].mean()


def test_a_photo_that_ends_keeps_the_face_and_repeats_its_border(made: list[SyntheticFace]) -> None:
    inside = next(face for face in made if face.landmarks_px.min() > 4 and face.landmarks_px.max() < 124)
    ended = [end_photo(inside.picture_srgb, inside.landmarks_px, np.random.default_rng(seed)) for seed in range(20)]
    (left, top), (right, bottom) = (
        inside.landmarks_px.min(axis=0).astype(int),
        inside.landmarks_px.max(axis=0).astype(int),
    )
    for picture in ended:
        np.testing.assert_array_equal(picture[top:bottom, left:right], inside.picture_srgb[top:bottom, left:right])
    assert any((picture[:, 0] == picture[:, 1]).all() for picture in ended)
    assert any((picture[-1] == picture[-2]).all() for picture in ended)


def test_effects_change_pictures_and_nothing_else(faces: SyntheticFaces, made: list[SyntheticFace]) -> None:
    for clean, item in zip(with_settings(faces, effects=False).make(range(4)), made, strict=False):
        assert np.array_equal(clean.code.pack(), item.code.pack())
        assert np.array_equal(clean.landmarks_px, item.landmarks_px)
        assert np.array_equal(clean.visibility, item.visibility)
        assert not np.array_equal(clean.picture_srgb, item.picture_srgb)


def test_a_face_depends_on_its_seed_and_number_alone(faces: SyntheticFaces, made: list[SyntheticFace]) -> None:
    again = faces.make([7])[0]
    assert np.allclose(again.code.pack(), made[7].code.pack(), atol=1e-4)  # batches of another size round differently
    assert np.abs(again.picture_srgb.astype(int) - made[7].picture_srgb).mean() < 0.5
    other = with_settings(faces, seed=4).make([7])[0]
    assert not np.allclose(other.code.shape, again.code.shape)


def test_a_stream_is_the_same_with_any_number_of_threads(faces: SyntheticFaces) -> None:
    streams = [faces.stream(3, num_threads=threads) for threads in (1, 2)]
    for _ in range(2):
        single, double = (next(stream) for stream in streams)
        assert torch.equal(single.crops_srgb, double.crops_srgb)
        assert torch.equal(single.landmarks_px, double.landmarks_px)
    for stream in streams:
        stream.close()


def test_a_batch_holds_what_the_faces_hold(faces: SyntheticFaces, made: list[SyntheticFace]) -> None:
    batch = faces.make_batch(0, COUNT)
    assert batch.crops_srgb.shape == (COUNT, 3, ENCODER_CROP_PX, ENCODER_CROP_PX)
    assert batch.crops_srgb.min() >= 0
    assert batch.crops_srgb.max() <= 1
    assert np.array_equal(batch.landmarks_px[5].numpy(), made[5].landmarks_px)
    assert batch.code is not None
    assert np.array_equal(batch.code.pack()[5].numpy(), made[5].code.pack())


def test_without_crop_errors_the_landmarks_crop_to_themselves(faces: SyntheticFaces) -> None:
    for item in with_settings(faces, crop_spread=0.0, effects=False).make(range(4)):
        T = face_crop(Landmarks(item.landmarks_px.astype(float), np.ones(478)), ENCODER_CROP_PX)
        middle = T[:2, :2] @ (64, 64) + T[:2, 2]
        assert np.abs(middle - 64).max() < 0.3
        assert T[:2, :2] == pytest.approx(np.eye(2), abs=0.01)


def test_a_border_shows_more_at_the_same_scale(faces: SyntheticFaces, made: list[SyntheticFace]) -> None:
    wide = with_settings(faces, border_px=16).make(range(COUNT))
    for item, wider in zip(made, wide, strict=True):
        assert wider.picture_srgb.shape == (160, 160, 3)
        assert np.abs(wider.landmarks_px - 16 - item.landmarks_px).max() < 0.01


def test_landmarks_behind_the_head_or_a_hand_are_not_visible(faces: SyntheticFaces) -> None:
    bare = with_settings(faces, effects=False, glasses_share=0.0, hand_share=0.0, hat_share=0.0, scarf_share=0.0)
    for item in bare.make(range(COUNT)):
        R = matrix_from_axis_angle(torch.from_numpy(item.code.rotation).double())
        yaw_deg = float(euler_deg_from_matrix(R)[0])
        left_cheek, right_cheek = item.visibility[[280, 50]]
        if abs(yaw_deg) > 55:
            assert (left_cheek if yaw_deg > 0 else right_cheek) == 0
        elif abs(yaw_deg) < 15:
            assert left_cheek == right_cheek == 1
    handed = dataclasses.replace(bare.settings, hand_share=1.0)
    covered = SyntheticFaces(handed, model=faces.model).make(range(COUNT))
    seen = [np.mean([item.visibility.mean() for item in items]) for items in (bare.make(range(COUNT)), covered)]
    assert seen[1] < seen[0] - 0.03


def test_a_redrawn_face_keeps_its_code_and_landmarks(faces: SyntheticFaces, made: list[SyntheticFace]) -> None:
    code = FaceCode.unpack(np.stack([item.code.pack() for item in made[:4]]))
    photos = [np.full((ENCODER_CROP_PX, ENCODER_CROP_PX, 3), level, dtype=np.uint8) for level in (0, 80, 160, 255)]
    plain = with_settings(faces, effects=False)
    for redrawn in (plain.redraw(code, range(4)), plain.redraw(code, range(4), photos)):
        for item, again in zip(made, redrawn, strict=False):
            assert np.array_equal(item.code.pack(), again.code.pack())
            assert np.abs(item.landmarks_px - again.landmarks_px).max() < 0.01
    hair_and_scalp = [item.picture_srgb[:8] for item in redrawn]
    assert all((part == photo[:8]).mean() > 0.4 for part, photo in zip(hair_and_scalp, photos, strict=True))


def test_a_split_light_is_the_light_again() -> None:
    for seed in range(20):
        fill, key, direction = draw_light(np.random.default_rng(seed))
        light = split_light(fill + key)
        assert np.allclose(light.illumination, fill + key, atol=1e-6)
        bare = split_light(key)
        assert bare.key_direction == pytest.approx(direction, abs=1e-4)
        assert np.allclose(bare.key, 0.7 * key, atol=1e-5)


def test_exposure_is_plausible(faces: SyntheticFaces) -> None:
    levels = []
    for item in with_settings(faces, effects=False).make(range(40)):
        column, row = item.landmarks_px[item.visibility > 0].astype(int).T
        levels.append(np.median(item.picture_srgb[row, column]))
    assert min(levels) > 12
    assert max(levels) < 250
    assert 70 < np.median(levels) < 170


def test_a_sample_comes_back_from_its_files(faces: SyntheticFaces) -> None:
    item = with_settings(faces, border_px=16).make([0])[0]
    back = decode_synthetic_sample(encode_synthetic_sample(item, "synthetic-0"))
    assert np.allclose(back.code.pack(), item.code.pack(), atol=1e-6)
    assert np.abs(back.landmarks_px - item.landmarks_px).max() < 0.001
    assert np.array_equal(back.visibility, item.visibility)
    assert np.abs(back.picture_srgb.astype(int) - item.picture_srgb).mean() < 4  # JPEG
    crop = cut_encoder_crop(item)
    assert np.array_equal(crop.picture_srgb, item.picture_srgb[16:-16, 16:-16])
    assert np.allclose(crop.landmarks_px, item.landmarks_px - 16, atol=1e-3)


def test_what_is_no_sample_is_refused(faces: SyntheticFaces) -> None:
    sample = encode_synthetic_sample(faces.make([0])[0], "synthetic-0")
    broken = dataclasses.replace(sample, files={"jpg": sample.files["jpg"], "json": b"{}"})
    with pytest.raises(IncompatibleCode, match="no synthetic sample"):
        decode_synthetic_sample(broken)


@pytest.mark.parametrize("wrong", [{"border_px": -1}, {"glasses_share": 1.2}, {"supersample": 0}])
def test_wrong_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="must"):
        SyntheticSettings(**wrong)
