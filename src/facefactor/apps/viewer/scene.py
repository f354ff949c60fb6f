# SPDX-License-Identifier: Apache-2.0
"""What the page's 3D scene is made of: the painted mesh as an unlit GLB, and where the photo stands behind it.

The scene's frame is the photo's camera frame (x right, y up, z to the viewer) in metres, moved along z so that its
origin, about which the page's view turns, is as far from the camera as the middle of the head: the camera is at
(0, 0, distance) and looks at the origin. Seen from there, head and photo lie over each other as in the photo.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pygltflib as gltf

from facefactor.apps.viewer.painting import PaintedMesh
from facefactor.apps.viewer.state import ViewerState
from facefactor.apps.viewer.subject import Subject, picture_frame
from facefactor.apps.viewer.tone import undo_page_curve

METRES_PER_MM = 1e-3
EYES_TO_MIDDLE_MM = 60.0
"""From the head frame's origin, between the eyes, back to the middle of the head."""
BEHIND_MIDDLE = 0.14
"""Metres from there back to the photo: past the back of the head."""


@dataclass(frozen=True, eq=False)
class Backdrop:
    """A picture standing upright in the scene, facing the camera."""

    srgb: np.ndarray
    """(height, width, 3) uint8."""
    centre: tuple[float, float, float]
    """Metres."""
    width: float
    height: float


def camera_distance(subject: Subject) -> float:
    """Metres from the photo's camera to the middle of the head, along the camera's axis."""
    return (EYES_TO_MIDDLE_MM - float(subject.code.translation[2])) * METRES_PER_MM


def encode_painted_mesh(mesh: PaintedMesh, distance: float) -> bytes:
    """Return the GLB file of an unlit mesh with a colour at each vertex, in the scene's frame.

    Args:
        mesh: in the camera frame.
        distance: metres from the camera to the scene's origin.
    """
    positions = (mesh.vertices_camera * METRES_PER_MM + (0.0, 0.0, distance)).astype("<f4")
    colours = undo_page_curve(mesh.colours_linear).astype("<f4")
    indices = mesh.triangles.astype("<u4").reshape(-1)
    parts = (indices, positions, colours)
    starts = np.cumsum([0, *(part.nbytes for part in parts)]).tolist()
    document = gltf.GLTF2(
        scene=0,
        scenes=[gltf.Scene(nodes=[0])],
        nodes=[gltf.Node(mesh=0)],
        meshes=[
            gltf.Mesh(
                primitives=[gltf.Primitive(attributes=gltf.Attributes(POSITION=1, COLOR_0=2), indices=0, material=0)]
            )
        ],
        materials=[gltf.Material(extensions={"KHR_materials_unlit": {}})],
        extensionsUsed=["KHR_materials_unlit"],
        accessors=[
            gltf.Accessor(bufferView=0, componentType=gltf.UNSIGNED_INT, count=len(indices), type=gltf.SCALAR),
            gltf.Accessor(
                bufferView=1,
                componentType=gltf.FLOAT,
                count=len(positions),
                type=gltf.VEC3,
                min=positions.min(axis=0).tolist(),
                max=positions.max(axis=0).tolist(),
            ),
            gltf.Accessor(bufferView=2, componentType=gltf.FLOAT, count=len(colours), type=gltf.VEC3),
        ],
        bufferViews=[
            gltf.BufferView(buffer=0, byteOffset=start, byteLength=part.nbytes, target=target)
            for start, part, target in zip(
                starts, parts, (gltf.ELEMENT_ARRAY_BUFFER, gltf.ARRAY_BUFFER, gltf.ARRAY_BUFFER), strict=False
            )
        ],
        buffers=[gltf.Buffer(byteLength=starts[-1])],
    )
    document.set_binary_blob(b"".join(part.tobytes() for part in parts))
    return b"".join(document.save_to_bytes())


def place_backdrop(state: ViewerState) -> Backdrop | None:
    """Stand the photo behind the face, so large that the camera sees it as it was taken; None where none is shown."""
    photo, subject = state.photo_behind, state.subject
    if photo is None:
        return None
    K, height, width = picture_frame(subject.record)
    depth = camera_distance(subject) + BEHIND_MIDDLE
    across, down = depth / K[0, 0], depth / K[1, 1]
    centre = ((width / 2 - K[0, 2]) * across, (K[1, 2] - height / 2) * down, -BEHIND_MIDDLE)
    return Backdrop(np.rint(255.0 * photo).astype(np.uint8), centre, width * across, height * down)
