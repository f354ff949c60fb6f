# SPDX-License-Identifier: Apache-2.0
"""Draw the textures of exported heads, from three sides, beside what the vertices alone can carry.

    python tools/draw_textures.py PHOTO… --out textures.png [--light studio]

A row for each photo: the photo, then the head with the photo's detail at its vertices alone, seen from its right, from
the front and from its left (50°), then the same three with the texture that `reconstruct` and `export` write.
"""

import argparse
from pathlib import Path

import numpy as np

from facefactor.apps.reconstruction import CROP_SIZE_PX, Reconstructor
from facefactor.arrays import unit_vectors
from facefactor.camera.pose import matrix_from_euler_deg, move_to_camera
from facefactor.camera.projection import crop_intrinsics
from facefactor.export.atomic import encode_png, write_bytes
from facefactor.export.glb import GlbMesh
from facefactor.face.normals import vertex_normals
from facefactor.light.presets import PRESETS, preset_light
from facefactor.light.spherical_harmonics import shade
from facefactor.photo.colour import linear_to_srgb, srgb_to_linear
from facefactor.photo.cropped_face import CroppedFace
from facefactor.photo.read import read_photo
from facefactor.render.fragments import blend_corners, rasterise_camera
from facefactor.render.vertex import sample_picture

PICTURE_PX = 320
SUPERSAMPLE = 2
YAWS_DEG = (50.0, 0.0, -50.0)
BACKGROUND_LINEAR = 0.02
CENTRE_MM = np.array([0.0, -25.0, -60.0])
"""Of the head, which turns about it."""
DISTANCE_MM = 1250.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--light", choices=PRESETS, default="studio")
    options = parser.parse_args()
    light = preset_light(options.light).astype(np.float32)
    reconstructor = Reconstructor()
    rows = [row_of(reconstructor, path, light) for path in options.photos]
    write_bytes(options.out, encode_png(np.rint(255 * np.concatenate(rows).clip(0, 1)).astype(np.uint8)))


def row_of(reconstructor: Reconstructor, path: Path, light: np.ndarray) -> np.ndarray:
    """The photo and six views of its head."""
    photo = read_photo(path)
    face = reconstructor.describe(CroppedFace.of(photo, reconstructor.find(photo)[0], CROP_SIZE_PX))
    albedo = reconstructor.albedo(face.code)
    detail = reconstructor.detail(face, albedo)
    meshes = (
        reconstructor.mesh(face.code, detail.applied_to(albedo)),
        reconstructor.painted_mesh(face, albedo, detail),
    )
    views = [view_of(mesh, yaw_deg, light) for mesh in meshes for yaw_deg in YAWS_DEG]
    return np.concatenate([face.crop.srgb_at(PICTURE_PX), *views], axis=1)


def view_of(mesh: GlbMesh, yaw_deg: float, light: np.ndarray) -> np.ndarray:
    """One picture of a textured head, sRGB in [0, 1]."""
    fine_px = PICTURE_PX * SUPERSAMPLE
    R = matrix_from_euler_deg(np.array([yaw_deg, 0.0, 0.0]))
    vertices = move_to_camera(mesh.posed_vertices_mm - CENTRE_MM, R, np.array([0.0, 0.0, -DISTANCE_MM]))
    (ids,), (weights,) = rasterise_camera(vertices[None], crop_intrinsics(fine_px), mesh.triangles, fine_px, fine_px)
    is_head = ids >= 0
    triangles, weights = ids[is_head], weights[is_head]
    u, v = blend_corners(mesh.uv, mesh.uv_triangles[triangles], weights).T
    texels_px = np.stack([u, 1 - v], axis=1) * len(mesh.texture_srgb)
    albedo = srgb_to_linear(sample_picture(mesh.texture_srgb[None].astype(np.float32) / 255, texels_px[None])[0])
    normals = blend_corners(vertex_normals(vertices, mesh.triangles), mesh.triangles[triangles], weights)
    picture = np.full((fine_px, fine_px, 3), BACKGROUND_LINEAR, dtype=np.float32)
    picture[is_head] = shade(albedo, unit_vectors(normals).astype(np.float32), light).clip(0, 1)
    averaged = picture.reshape(PICTURE_PX, SUPERSAMPLE, PICTURE_PX, SUPERSAMPLE, 3).mean(axis=(1, 3))
    return linear_to_srgb(averaged)


if __name__ == "__main__":
    main()
