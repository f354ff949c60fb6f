# SPDX-License-Identifier: Apache-2.0
import io

import numpy as np
import pygltflib
import trimesh

from facefactor.apps.viewer.painting import paint
from facefactor.apps.viewer.scene import camera_distance, encode_painted_mesh, place_backdrop
from facefactor.apps.viewer.tone import apply_page_curve
from facefactor.camera.projection import project_points


def test_an_independent_reader_finds_the_mesh_in_metres_with_the_colours_that_the_page_will_show(head, state):
    mesh = paint(head, state)
    content = encode_painted_mesh(mesh, 0.5)
    (read,) = trimesh.load(io.BytesIO(content), file_type="glb", process=False).geometry.values()
    np.testing.assert_allclose(read.vertices, mesh.vertices_camera / 1000.0 + (0.0, 0.0, 0.5), atol=1e-6)
    np.testing.assert_array_equal(read.faces, mesh.triangles)
    document = pygltflib.GLTF2.load_from_bytes(content)
    assert document.materials[0].extensions == {"KHR_materials_unlit": {}}
    view = document.bufferViews[document.accessors[document.meshes[0].primitives[0].attributes.COLOR_0].bufferView]
    start, length = view.byteOffset, view.byteLength
    sent = np.frombuffer(document.binary_blob()[start : start + length], dtype="<f4").reshape(-1, 3)
    np.testing.assert_allclose(apply_page_curve(sent), mesh.colours_linear, atol=1e-4)


def test_the_camera_sees_the_backdrop_as_the_photo(state):
    backdrop = place_backdrop(state.with_over_photo(True))
    (x, y, z), half_width, half_height = backdrop.centre, backdrop.width / 2, backdrop.height / 2
    z -= camera_distance(state.subject)  # from the scene's frame to the camera's
    corners = np.array([(x - half_width, y + half_height, z), (x + half_width, y - half_height, z)])
    corners_px = project_points(corners, state.subject.record.camera.K)
    np.testing.assert_allclose(corners_px, [(0.0, 0.0), (512.0, 512.0)], atol=1e-6)


def test_the_backdrop_stands_behind_the_head(head, state):
    back = paint(head, state).vertices_camera[:, 2].min() / 1000.0 + camera_distance(state.subject)
    assert place_backdrop(state.with_over_photo(True)).centre[2] < back


def test_there_is_no_backdrop_unless_the_face_is_laid_over_its_photo(state, state_without_photo):
    assert place_backdrop(state) is None
    assert place_backdrop(state_without_photo.with_over_photo(True)) is None
