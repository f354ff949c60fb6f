# SPDX-License-Identifier: Apache-2.0
"""Corrections of the face model: as a longer model, while they are learnt, and in their file."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from facefactor.code.face_code import FaceCode
from facefactor.errors import AssetMissing, IncompatibleCode
from facefactor.face.corrective_bases import CorrectedFace, CorrectiveBases
from facefactor.face.correctives import Correctives, corrected_model, load_correctives, save_correctives
from facefactor.face.linear_points import dense_landmarks
from facefactor.face.model import FaceModel, load_face_model
from facefactor.face.morph import MorphableFace

NUM_GEOMETRY, NUM_REFLECTANCE = 3, 2


@pytest.fixture(scope="module")
def base() -> FaceModel:
    return load_face_model()


@pytest.fixture(scope="module")
def bases(base: FaceModel) -> CorrectiveBases:
    torch.manual_seed(0)
    return CorrectiveBases(base, NUM_GEOMETRY, NUM_REFLECTANCE)


@pytest.fixture(scope="module")
def correctives(bases: CorrectiveBases) -> Correctives:
    return bases.correctives({"step": "7"})


@pytest.fixture
def code() -> FaceCode:
    generator = torch.Generator().manual_seed(1)
    packed = torch.rand(2, 245 + NUM_GEOMETRY + NUM_REFLECTANCE, generator=generator)
    return FaceCode.unpack(packed, NUM_GEOMETRY)


def test_a_corrected_model_is_the_base_with_the_corrections_added(base, correctives, code):
    corrected = MorphableFace(corrected_model(base, correctives), native_albedo=True)
    plain, moved = MorphableFace(base, native_albedo=True), torch.from_numpy(correctives.vertices)
    difference = corrected.vertices(code.full_shape, code.expression) - plain.vertices(code.shape, code.expression)
    expected = torch.einsum("bk,kvc->bvc", code.geometry_corrective, torch.from_numpy(correctives.geometry_basis))
    torch.testing.assert_close(difference[:, moved], expected, atol=2e-3, rtol=0)  # the file's float16
    others = np.setdiff1d(np.arange(base.num_vertices), correctives.vertices)
    assert difference[:, others].abs().max() < 1e-4
    log_albedo = corrected.log_albedo(code.full_reflectance) - plain.log_albedo(code.reflectance)
    expected = torch.einsum("bk,kvc->bvc", code.reflectance_corrective, torch.from_numpy(correctives.reflectance_basis))
    torch.testing.assert_close(log_albedo[:, moved], expected, atol=2e-4, rtol=0)


def test_zero_coefficients_give_the_base_faces_blinks_included(base, correctives, code):
    code = code.without_corrections()
    zeros = torch.zeros(2, NUM_GEOMETRY), torch.zeros(2, NUM_REFLECTANCE)
    corrected, plain = MorphableFace(corrected_model(base, correctives)), MorphableFace(base)
    full = code.with_correctives(*zeros)
    torch.testing.assert_close(
        corrected.vertices(full.full_shape, code.expression), plain.vertices(code.shape, code.expression)
    )
    torch.testing.assert_close(corrected.albedo(full.full_reflectance), plain.albedo(code.reflectance))


def test_while_they_are_learnt_they_do_what_the_corrected_model_does(base, bases, correctives, code):
    learnt = CorrectedFace(base, bases)
    kept = MorphableFace(corrected_model(base, correctives), native_albedo=True)
    torch.testing.assert_close(
        learnt.vertices(code.full_shape, code.expression),
        kept.vertices(code.full_shape, code.expression),
        atol=3e-3,
        rtol=0,
    )
    torch.testing.assert_close(
        learnt.albedo(code.full_reflectance), kept.albedo(code.full_reflectance), atol=3e-4, rtol=0
    )


def test_landmarks_move_with_the_surface(base, bases, correctives, code):
    plain = dense_landmarks(base).place(code.shape, code.expression)
    corrected = dense_landmarks(corrected_model(base, correctives)).place(code.full_shape, code.expression)
    moved = bases.landmark_displacement_mm(code.geometry_corrective)
    assert moved.abs().max() > 0.1
    torch.testing.assert_close(plain + moved, corrected, atol=3e-3, rtol=0)


def test_the_file_holds_everything(base, correctives, tmp_path: Path):
    given = dataclasses.replace(correctives, encoder_graph=b"a graph")
    save_correctives(given, tmp_path / "learned.safetensors")
    read = load_correctives(tmp_path / "learned.safetensors")
    assert (read.encoder_graph, read.facts, read.model_hash) == (b"a graph", {"step": "7"}, base.model_hash)
    np.testing.assert_allclose(read.geometry_basis, correctives.geometry_basis, atol=1e-3)
    # The encoder is no part of the model: with it the hash is the same, with other bases it is not.
    assert corrected_model(base, read).model_hash == corrected_model(base, correctives).model_hash
    other = dataclasses.replace(correctives, geometry_basis=2 * correctives.geometry_basis)
    assert len({corrected_model(base, some).model_hash for some in (read, other)} | {base.model_hash}) == 3


def test_corrections_of_another_model_are_refused(base, correctives):
    with pytest.raises(IncompatibleCode, match="are of the face model 0123, the one here is"):
        corrected_model(base, dataclasses.replace(correctives, model_hash="0123"))


def test_files_that_are_none_are_named(tmp_path: Path):
    with pytest.raises(AssetMissing, match="no such file"):
        load_correctives(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(IncompatibleCode, match="not a safetensors file"):
        load_correctives(tmp_path / "bad.safetensors")
    from facefactor.face.model import SHIPPED_MODEL

    with pytest.raises(IncompatibleCode, match=r"is facefactor\.model/1, needed is facefactor\.correctives/1"):
        load_correctives(SHIPPED_MODEL)
