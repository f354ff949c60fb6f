# SPDX-License-Identifier: Apache-2.0
"""The GLB is read here by hand, from the glTF 2.0 specification, so that writer and reader share no code."""

import io
import json
import re
import struct
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from PIL import Image

from facefactor.export.glb import NEGLIGIBLE_MM, GlbMesh, encode_glb, split_at_seams, unit_normals, write_glb
from facefactor.face.normals import vertex_normals

COMPONENT_DTYPES = {5123: "<u2", 5125: "<u4", 5126: "<f4"}
COMPONENTS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}


class ReadGlb:
    """The JSON and arrays of a GLB file, each accessor checked against what the specification asks of it."""

    def __init__(self, content: bytes):
        magic, version, length, json_length, json_kind = struct.unpack_from("<4sIII4s", content)
        assert (magic, version, length, json_kind) == (b"glTF", 2, len(content), b"JSON")
        assert json_length % 4 == 0
        binary_length, binary_kind = struct.unpack_from("<I4s", content, 20 + json_length)
        assert (binary_kind, binary_length % 4) == (b"BIN\0", 0)
        self.json = json.loads(content[20 : 20 + json_length])
        self.binary = content[28 + json_length :]
        assert self.json["buffers"] == [{"byteLength": len(self.binary)}]
        self.primitive = self.json["meshes"][0]["primitives"][0]
        self.targets = self.primitive["targets"]

    def view(self, index: int) -> bytes:
        view = self.json["bufferViews"][index]
        assert view["byteOffset"] % 4 == 0
        assert view["byteOffset"] + view["byteLength"] <= len(self.binary)
        return self.binary[view["byteOffset"] :][: view["byteLength"]]

    def values(self, view: int, component_type: int, columns: int, count: int) -> np.ndarray:
        content = self.view(view)
        assert len(content) == count * columns * np.dtype(COMPONENT_DTYPES[component_type]).itemsize
        return np.frombuffer(content, COMPONENT_DTYPES[component_type]).reshape(count, columns)

    def accessor(self, index: int) -> np.ndarray:
        accessor = self.json["accessors"][index]
        kind, columns, count = accessor["componentType"], COMPONENTS[accessor["type"]], accessor["count"]
        values = np.zeros((count, columns), COMPONENT_DTYPES[kind])
        assert "bufferView" in accessor or "byteOffset" not in accessor
        if "bufferView" in accessor:
            values[:] = self.values(accessor["bufferView"], kind, columns, count)
        if "sparse" in accessor:
            sparse = accessor["sparse"]
            rows = self.values(sparse["indices"]["bufferView"], sparse["indices"]["componentType"], 1, sparse["count"])
            assert (np.diff(rows[:, 0].astype(int)) > 0).all()
            assert rows.max() < count
            values[rows[:, 0]] = self.values(sparse["values"]["bufferView"], kind, columns, sparse["count"])
        np.testing.assert_array_equal(accessor["min"], values.min(axis=0))
        np.testing.assert_array_equal(accessor["max"], values.max(axis=0))
        return values

    def attribute(self, name: str) -> np.ndarray:
        return self.accessor(self.primitive["attributes"][name]).astype(float)

    def triangles(self) -> np.ndarray:
        return self.accessor(self.primitive["indices"]).reshape(-1, 3)


@pytest.fixture
def glb(sphere) -> ReadGlb:
    return ReadGlb(encode_glb(sphere))


def test_every_triangle_corner_has_its_position_and_its_uv(sphere, glb):
    triangles = glb.triangles()
    positions_mm = 1000.0 * glb.attribute("POSITION")[triangles]
    np.testing.assert_allclose(positions_mm, sphere.vertices_mm[sphere.triangles], atol=1e-4)
    uv = glb.attribute("TEXCOORD_0")[triangles]
    np.testing.assert_allclose(uv * [1, -1] + [0, 1], sphere.uv[sphere.uv_triangles], atol=1e-6)


def test_vertices_are_doubled_only_on_the_seam(sphere, glb):
    assert len(glb.attribute("POSITION")) == len(sphere.uv)
    assert len(sphere.uv) == len(sphere.vertices_mm) + 9  # one more column of uv than of vertices, nine rings of them


def test_normals_point_out_of_a_sphere_and_agree_across_the_seam(glb):
    positions, normals = glb.attribute("POSITION"), glb.attribute("NORMAL")
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-6)
    cosines = (normals * positions).sum(axis=1) / np.linalg.norm(positions, axis=1)
    assert cosines.min() > 0.9
    _, first, group = np.unique(positions.round(7), axis=0, return_index=True, return_inverse=True)
    np.testing.assert_array_equal(normals, normals[first][group.ravel()])


def test_neutral_plus_morph_is_the_displaced_mesh(sphere, glb):
    triangles, positions = glb.triangles(), glb.attribute("POSITION")
    for k, target in enumerate(glb.targets):
        displaced_mm = 1000.0 * (positions + glb.accessor(target["POSITION"]))[triangles]
        expected = (sphere.vertices_mm + sphere.morph_deltas_mm[k])[sphere.triangles]
        np.testing.assert_allclose(displaced_mm, expected, atol=NEGLIGIBLE_MM + 1e-4)


def test_neutral_normal_plus_morph_is_the_displaced_meshs_normal(sphere, glb):
    displaced = vertex_normals(sphere.vertices_mm + sphere.morph_deltas_mm[0], sphere.triangles)
    normals = glb.attribute("NORMAL") + glb.accessor(glb.targets[0]["NORMAL"])
    np.testing.assert_allclose(normals[glb.triangles()], displaced[sphere.triangles], atol=0.002)


def test_morphs_carry_their_names_and_first_weights(glb):
    mesh = glb.json["meshes"][0]
    assert mesh["extras"]["targetNames"] == ["local", "global", "nothing"]
    assert mesh["weights"] == [0.25, 0.0, 1.0]


def test_a_local_morph_is_stored_sparsely_and_a_global_one_whole(glb):
    local, whole, nothing = (glb.json["accessors"][target["POSITION"]] for target in glb.targets)
    assert "bufferView" not in local
    assert local["sparse"]["count"] < local["count"] / 5
    assert "sparse" not in whole
    assert nothing["sparse"]["count"] == 1
    np.testing.assert_array_equal(glb.accessor(glb.targets[2]["POSITION"]), 0.0)


def test_only_vertices_and_indices_are_marked_for_the_graphics_card(glb):
    accessors, views = glb.json["accessors"], glb.json["bufferViews"]
    targets = {accessor["bufferView"]: accessor for accessor in accessors if "bufferView" in accessor}
    for index, view in enumerate(views):
        expected = None if index not in targets else 34963 if targets[index]["type"] == "SCALAR" else 34962
        assert view.get("target") == expected


def test_the_texture_is_the_albedo_on_a_dielectric_material(sphere, glb):
    material = glb.json["materials"][glb.primitive["material"]]["pbrMetallicRoughness"]
    assert (material["metallicFactor"], material["roughnessFactor"]) == (0.0, 0.6)
    image = glb.json["images"][glb.json["textures"][material["baseColorTexture"]["index"]]["source"]]
    assert image["mimeType"] == "image/png"
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(glb.view(image["bufferView"])))), sphere.texture_srgb
    )


def test_convention_the_glb_is_in_metres_with_y_up_and_the_front_at_positive_z(sphere, glb):
    positions = glb.attribute("POSITION")
    np.testing.assert_allclose(np.ptp(positions, axis=0), [0.18, 0.1764, 0.18], atol=1e-4)
    top, front = positions[glb.attribute("TEXCOORD_0")[:, 1] < 0.01], 1e-3 * sphere.vertices_mm[:, 2].max()
    assert (top[:, 1] > 0.08).all()
    assert positions[:, 2].max() == pytest.approx(front, abs=1e-6)
    assert "rotation" not in glb.json["nodes"][0]
    assert "scale" not in glb.json["nodes"][0]


def test_the_same_mesh_gives_the_same_bytes(sphere, tmp_path):
    write_glb(tmp_path / "0.glb", sphere)
    assert (tmp_path / "0.glb").read_bytes() == encode_glb(sphere)


def test_trimesh_reads_the_head_with_its_texture(sphere, tmp_path):
    write_glb(tmp_path / "0.glb", sphere)
    mesh = trimesh.load(tmp_path / "0.glb", force="mesh")
    np.testing.assert_allclose(mesh.vertices[mesh.faces] * 1000, sphere.vertices_mm[sphere.triangles], atol=1e-4)
    np.testing.assert_allclose(mesh.visual.uv[mesh.faces], sphere.uv[sphere.uv_triangles], atol=1e-6)
    assert mesh.visual.material.baseColorTexture.size == (16, 16)


def test_more_than_65535_vertices_get_32_bit_indices():
    side = 300
    x, y = np.meshgrid(np.arange(side, dtype=float), np.arange(side, dtype=float))
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    triangles = np.stack([corner, corner + 1, corner + side + 1], axis=1)
    vertices = np.stack([x.ravel(), y.ravel(), 0 * x.ravel()], axis=1)
    deltas = np.zeros((1, side * side, 3))
    deltas[0, 80_000, 2] = 1.0
    mesh = GlbMesh(
        vertices,
        triangles,
        vertices[:, :2] / side,
        triangles,
        np.zeros((1, 1, 3), np.uint8),
        ("a",),
        deltas,
        np.zeros(1),
    )
    glb = ReadGlb(encode_glb(mesh))
    np.testing.assert_allclose(1000 * glb.attribute("POSITION")[glb.triangles()], vertices[triangles], atol=1e-3)
    moved = glb.attribute("POSITION")[glb.accessor(glb.targets[0]["POSITION"])[:, 2] > 0]
    np.testing.assert_allclose(1000 * moved, vertices[80_000:80_001], atol=1e-3)


def test_splitting_without_a_seam_only_renumbers():
    triangles = np.array([[5, 1, 3], [1, 5, 9]])
    vertex_of, uv_of, split = split_at_seams(triangles, triangles)
    np.testing.assert_array_equal(vertex_of, uv_of)
    np.testing.assert_array_equal(vertex_of, [1, 3, 5, 9])
    np.testing.assert_array_equal(vertex_of[split], triangles)


def test_a_vertex_without_area_gets_a_front_normal():
    normals = unit_normals(np.eye(4, 3), np.array([[0, 1, 2]]))
    np.testing.assert_allclose(normals, [[3**-0.5] * 3] * 3 + [[0, 0, 1]])


def test_a_mesh_whose_parts_do_not_belong_together_is_refused(sphere):
    with pytest.raises(ValueError, match=re.escape("3 morphs of 108 vertices need deltas (3, 108, 3)")):
        replace(sphere, morph_deltas_mm=sphere.morph_deltas_mm[:2])
    with pytest.raises(ValueError, match="must match"):
        replace(sphere, uv_triangles=sphere.uv_triangles[:-1])


def test_exporting_imports_no_torch():
    modules = ", ".join(
        f"facefactor.export.{name}"
        for name in ("record", "glb", "obj", "ply", "usd", "texture", "photo_texture", "head")
    )
    code = f"import sys, {modules}; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
