# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest

from facefactor.camera.pose import matrix_from_euler_deg
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.data import rare_photos
from facefactor.data.photo_sample import encode_photo_sample
from facefactor.data.photographs import PhotoCorpus
from facefactor.data.rare_photos import RareRepeats, Rarity, rare_expressions, rarity_of
from facefactor.data.shards import PHOTOGRAPHS, CorpusRecord, write_corpus_record, write_shard
from facefactor.face.linear_bases import LinearBases, in_triangles, linear_weights
from facefactor.face.model import load_face_model


def landmarks_px(yaw_deg: float = 0.0, **expression: float) -> np.ndarray:
    """Of the mean face with an expression, seen from afar."""
    model = load_face_model()
    bases = LinearBases.of(model, in_triangles(model.landmarks478_vertices, model.landmarks478_weights))
    weights = np.zeros((1, 52), dtype=np.float32)
    for name, weight in expression.items():
        weights[0, EXPRESSION_NAMES.index(name)] = weight
    points = bases.points(*linear_weights(np.zeros((1, 80), dtype=np.float32), weights))[0]
    turned = points @ matrix_from_euler_deg(np.array([yaw_deg, 0.0, 0.0])).T
    return turned[:, :2] * (1.0, -1.0)


@pytest.mark.parametrize(
    ("expected", "expression"),
    [
        (None, {}),
        (None, {"eyeBlinkLeft": 0.4, "eyeBlinkRight": 0.4}),
        (None, {"jawOpen": 0.15}),
        (Rarity.CLOSED, {"eyeBlinkLeft": 0.8, "eyeBlinkRight": 0.8}),
        (Rarity.WINK, {"eyeBlinkLeft": 0.8}),
        (Rarity.WINK, {"eyeBlinkRight": 0.9, "jawOpen": 0.6}),
        (Rarity.OPEN_MOUTH, {"jawOpen": 0.6}),
    ],
)
def test_closed_eyes_and_wide_mouths_are_rare(expected: Rarity | None, expression: dict) -> None:
    assert rarity_of(landmarks_px(**expression)) is expected


def test_a_head_that_is_turned_far_is_not_judged() -> None:
    assert rarity_of(landmarks_px(50.0, eyeBlinkLeft=0.8, eyeBlinkRight=0.8)) is None


def test_the_rare_ones_of_a_corpus_are_named(photo_corpus_folder, monkeypatch) -> None:
    photos = PhotoCorpus(photo_corpus_folder)
    nobody = dict.fromkeys(Rarity, ())
    assert rare_expressions(photos, range(10)) == nobody
    asleep = landmarks_px(eyeBlinkLeft=0.8, eyeBlinkRight=0.8)
    monkeypatch.setattr(PhotoCorpus, "landmarks_px", lambda self, number: asleep if number == 7 else landmarks_px())
    assert rare_expressions(photos, (1, 7, 9)) == nobody | {Rarity.CLOSED: (7,)}
    assert rare_expressions(photos, (1, 9)) == nobody


def test_other_processes_find_the_same(photo_corpus_folder, tmp_path, monkeypatch) -> None:
    plain = PhotoCorpus(photo_corpus_folder)[0]
    faces = [landmarks_px(), landmarks_px(eyeBlinkLeft=0.8), landmarks_px(), landmarks_px(jawOpen=0.7)]
    samples = [
        encode_photo_sample(dataclasses.replace(plain, landmarks_px=face.astype(np.float32)), f"{number:08d}")
        for number, face in enumerate(faces)
    ]
    write_corpus_record(tmp_path, CorpusRecord(PHOTOGRAPHS, (write_shard(tmp_path / "a.tar", samples),)))
    monkeypatch.setattr(rare_photos, "PORTION", 2)
    found = rare_expressions(PhotoCorpus(tmp_path), range(4), workers=2)
    assert found == {Rarity.WINK: (1,), Rarity.CLOSED: (), Rarity.OPEN_MOUTH: (3,)}


def test_repeats_are_as_rare_as_what_they_show() -> None:
    repeats = RareRepeats(wink=2, closed=1, open_mouth=0)
    assert repeats.of({Rarity.WINK: (4,), Rarity.CLOSED: (7, 8), Rarity.OPEN_MOUTH: (1,)}) == (4, 4, 7, 8)
    assert not RareRepeats(0, 0, 0).are_any
    with pytest.raises(ValueError, match="repeats must be at least 0, got -1, 0 and 0"):
        RareRepeats(-1, 0, 0)
