# SPDX-License-Identifier: Apache-2.0
import io

import numpy as np
import pygltflib
from PIL import Image

from facefactor.apps.viewer.downloads import edited_record, glb_file, json_file, png_file
from facefactor.apps.viewer.opening import Opener
from facefactor.apps.viewer.state import ViewerState
from facefactor.apps.viewer.subject import Subject
from facefactor.code.names import EXPRESSION_NAMES
from facefactor.export.record import encode_face_record, read_face_record

SMILE = EXPRESSION_NAMES.index("mouthSmileLeft")


def test_a_face_that_was_not_changed_is_saved_as_it_was_reconstructed(head, state, record):
    saved = edited_record(head, state)
    # Numbers went through float32; the landmarks were computed anew, in the photo's camera in place of the crop's.
    np.testing.assert_allclose(saved.landmarks_68_px[17:], record.landmarks_68_px[17:], atol=0.01)
    np.testing.assert_allclose(saved.shape, record.shape, atol=1e-6)
    assert encode_face_record(saved).count(b"\n") == encode_face_record(record).count(b"\n")


def test_a_changed_face_comes_back_from_its_json(head, state, tmp_path):
    changed = state.with_expression("mouthSmileLeft", 0.9).with_shape(0, 2.0)
    path = tmp_path / "face.json"
    path.write_bytes(json_file(head, changed))
    again = head.code_of(read_face_record(path))
    np.testing.assert_allclose(again.pack(), changed.code.pack(), atol=1e-4)
    moved = read_face_record(path).landmarks_68_px - state.subject.record.landmarks_68_px
    assert np.linalg.norm(moved, axis=1).max() > 2.0


def test_a_changed_face_that_was_saved_is_opened_changed_and_can_be_reset(head, state, tmp_path):
    path = tmp_path / "face.json"
    path.write_bytes(json_file(head, state.with_expression("mouthSmileLeft", 0.9)))
    opened = ViewerState.of(Opener(head).open_file(path))
    assert opened.code.expression[SMILE] == np.float32(0.9)
    np.testing.assert_allclose(opened.as_reconstructed().code.pack(), state.code.pack(), atol=1e-6)
    assert json_file(head, opened.as_reconstructed()) == json_file(head, state)


def test_a_face_of_the_base_model_is_saved_as_one(head, base_record):
    saved = edited_record(head, ViewerState.of(Subject.of(base_record, None, head)))
    assert saved.model_hash == base_record.model_hash
    assert saved.geometry_corrective.size == saved.reflectance_corrective.size == 0


def test_the_glb_opens_with_the_changed_expression_and_has_all_morphs(head, reconstructor, state):
    document = pygltflib.GLTF2.load_from_bytes(
        glb_file(reconstructor, head, state.with_expression("mouthSmileLeft", 0.9))
    )
    assert document.meshes[0].extras["targetNames"] == list(EXPRESSION_NAMES)
    assert len(document.meshes[0].primitives[0].targets) == 52
    assert abs(document.meshes[0].weights[SMILE] - 0.9) < 1e-6


def test_the_png_has_the_photos_size_and_shows_the_change(head, state):
    before, after = (
        np.asarray(Image.open(io.BytesIO(png_file(head, shown)))).astype(int)
        for shown in (state, state.with_expression("jawOpen", 1.0))
    )
    assert before.shape == after.shape == (512, 512, 3)
    assert np.abs(before - after).max() > 60
