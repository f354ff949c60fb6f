# SPDX-License-Identifier: Apache-2.0
"""The state of a viewer as files: the head with its morphs (GLB), its numbers (JSON), what is shown (PNG)."""

from dataclasses import replace

import numpy as np

from facefactor.apps.reconstruction import Reconstructor
from facefactor.apps.viewer.head import Head
from facefactor.apps.viewer.painting import detailed_albedo, draw_picture
from facefactor.apps.viewer.state import ViewerState
from facefactor.edit.posed_head import landmarks68_px
from facefactor.export.atomic import encode_png
from facefactor.export.glb import encode_glb
from facefactor.export.record import FaceRecord, encode_face_record


def glb_file(reconstructor: Reconstructor, head: Head, state: ViewerState) -> bytes:
    """The head as `reconstruct` writes it, with the shape, albedo and opening expression of the state."""
    return encode_glb(reconstructor.mesh(state.code, detailed_albedo(head, state)))


def json_file(head: Head, state: ViewerState) -> bytes:
    """The state's numbers, schema `facefactor.face/1`."""
    seen = state.subject.record
    return encode_face_record(seen if state.code is state.subject.code else edited_record(head, state), seen)


def png_file(head: Head, state: ViewerState) -> bytes:
    """The state as the photo's camera sees it."""
    return encode_png(np.rint(255.0 * np.clip(draw_picture(head, state), 0.0, 1.0)).astype(np.uint8))


def edited_record(head: Head, state: ViewerState) -> FaceRecord:
    """The record of a changed face; camera, photo and quality stay those of the reconstruction it was made from."""
    code, record = state.code.map(lambda part: part.astype(np.float64)), state.subject.record
    has_corrections = record.model_hash == head.model.model_hash
    return replace(
        record,
        shape=code.shape,
        expression=code.expression,
        reflectance=code.reflectance,
        illumination=code.illumination,
        geometry_corrective=code.geometry_corrective if has_corrections else record.geometry_corrective,
        reflectance_corrective=code.reflectance_corrective if has_corrections else record.reflectance_corrective,
        landmarks_68_px=landmarks68_px(head.decoder, state.code, record.camera.K),
    )
