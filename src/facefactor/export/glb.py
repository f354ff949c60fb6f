# SPDX-License-Identifier: Apache-2.0
"""One textured head with its expressions as a binary glTF 2.0 file (GLB), which opens in browsers and 3D programs.

Place in the flow: shape → neutral mesh, expression basis → morph targets, albedo → texture (`texture.py`) → this file.

What glTF asks for and where it is met:
- metres, y up, front +z (spec 3.4): the head frame, divided by 1000.
- One index buffer for positions and UVs: vertices on a UV seam are doubled, one per (vertex, uv) pair.
- v runs down: v_gltf = 1 - v.
- A morphed vertex is position + Σ weight × delta, its normal likewise (3.7.2.2). Most expressions move few vertices,
  so their deltas are sparse accessors (3.6.2.3) wherever that is the smaller form.
- Morphs have no names in the standard: three.js, Blender and Unity importers read `mesh.extras.targetNames`.

Source: Khronos, glTF 2.0 specification, https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pygltflib as gltf

import facefactor
from facefactor.export.atomic import encode_png, write_bytes
from facefactor.face.normals import vertex_normals

METRES_PER_MM = 0.001
NEGLIGIBLE_MM = 0.005
"""Smaller morph displacements are written as zero: far below what can be seen, and it keeps the morphs local."""
NEGLIGIBLE_NORMAL = 0.002
"""The same for changes of the unit normal (0.1 degree)."""
SKIN_ROUGHNESS = 0.6
"""Perceptual roughness; between matt powder and oily skin."""

_COMPONENT_TYPES = {"<u2": gltf.UNSIGNED_SHORT, "<u4": gltf.UNSIGNED_INT, "<f4": gltf.FLOAT}
"""glTF's number of each array type in use."""


@dataclass(frozen=True, eq=False)
class GlbMesh:
    """A head ready to be written, head frame, millimetres.

    Raises:
        ValueError: parts whose sizes do not belong together.
    """

    vertices_mm: np.ndarray
    """(V, 3), neutral expression."""
    triangles: np.ndarray
    """(F, 3) vertex indices, counter-clockwise seen from outside."""
    uv: np.ndarray
    """(W, 2) in [0, 1], v up."""
    uv_triangles: np.ndarray
    """(F, 3) indices into uv, parallel to triangles."""
    texture_srgb: np.ndarray
    """(height, width, 3) uint8 albedo."""
    morph_names: tuple[str, ...]
    morph_deltas_mm: np.ndarray
    """(M, V, 3) displacement at weight 1."""
    morph_weights: np.ndarray
    """(M,) weights the file opens with: the face's expression, or zeros for the neutral face."""

    @property
    def posed_vertices_mm(self) -> np.ndarray:
        """(V, 3) with the expression that the file opens with, for formats without morphs."""
        return self.vertices_mm + np.tensordot(self.morph_weights, self.morph_deltas_mm, axes=1)

    def __post_init__(self) -> None:
        if self.triangles.shape != self.uv_triangles.shape:
            raise ValueError(f"triangles {self.triangles.shape} and uv_triangles {self.uv_triangles.shape} must match")
        wanted = (len(self.morph_names), *self.vertices_mm.shape)
        if self.morph_deltas_mm.shape != wanted or self.morph_weights.shape != wanted[:1]:
            raise ValueError(
                f"{wanted[0]} morphs of {wanted[1]} vertices need deltas {wanted} and as many weights, "
                f"got {self.morph_deltas_mm.shape} and {self.morph_weights.shape}"
            )


def write_glb(path: Path, mesh: GlbMesh) -> None:
    """Write the head as one GLB file; the same mesh gives the same bytes.

    Raises:
        OutputUnwritable: the folder or file cannot be written.
    """
    write_bytes(path, encode_glb(mesh))


def encode_glb(mesh: GlbMesh) -> bytes:
    """Return the GLB file of a head: one node, one primitive, one material, one texture."""
    return pack_document(*head_document(mesh))


def head_document(mesh: GlbMesh) -> tuple[gltf.GLTF2, "BinaryFile"]:
    """The document of a head, whose node 0 is the head, and its binary part; both may be added to before packing."""
    file = BinaryFile()
    primitive, vertex_of = _add_surface(file, mesh)
    primitive.targets = _add_morphs(file, mesh, vertex_of)
    image_view = file.add_view(encode_png(mesh.texture_srgb))
    document = gltf.GLTF2(
        asset=gltf.Asset(version="2.0", generator=f"facefactor {facefactor.__version__}"),
        scene=0,
        scenes=[gltf.Scene(nodes=[0])],
        nodes=[gltf.Node(name="head", mesh=0)],
        meshes=[
            gltf.Mesh(
                name="head",
                primitives=[primitive],
                weights=mesh.morph_weights.astype(float).tolist(),
                extras={"targetNames": list(mesh.morph_names)},
            )
        ],
        materials=[_skin_material()],
        textures=[gltf.Texture(source=0, sampler=0)],
        samplers=[_trilinear_sampler()],
        images=[gltf.Image(name="albedo", mimeType="image/png", bufferView=image_view)],
    )
    return document, file


def pack_document(document: gltf.GLTF2, file: "BinaryFile") -> bytes:
    """Return the GLB file of a document and its binary part."""
    document.accessors, document.bufferViews = file.accessors, file.views
    document.buffers = [gltf.Buffer(byteLength=len(file.content))]
    document.set_binary_blob(bytes(file.content))
    return b"".join(document.save_to_bytes())


def split_at_seams(triangles: np.ndarray, uv_triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make one index serve both the vertices and the UVs, by one output vertex per (vertex, uv) pair in use.

    Args:
        triangles: (F, 3) vertex indices.
        uv_triangles: (F, 3) uv indices, parallel.

    Returns:
        vertex_of (P,) and uv_of (P,), the pair behind each output vertex; (F, 3) triangles of output vertices.
    """
    num_uv = int(uv_triangles.max()) + 1
    pairs = triangles.ravel().astype(np.int64) * num_uv + uv_triangles.ravel()  # one number a pair, to sort fast
    unique_pairs, corner_pairs = np.unique(pairs, return_inverse=True)
    vertex_of, uv_of = np.divmod(unique_pairs, num_uv)
    return vertex_of, uv_of, corner_pairs.reshape(triangles.shape)


class BinaryFile:
    """The GLB's one buffer while it grows, with the views and accessors that describe it."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.views: list[gltf.BufferView] = []
        self.accessors: list[gltf.Accessor] = []

    def add_view(self, content: bytes, target: int | None = None) -> int:
        """Append bytes, padded to four as accessors ask for, and return their view's index."""
        self.views.append(
            gltf.BufferView(buffer=0, byteOffset=len(self.content), byteLength=len(content), target=target)
        )
        self.content += content + bytes(-len(content) % 4)
        return len(self.views) - 1

    def add_indices(self, triangles: np.ndarray) -> int:
        """Append (F, 3) triangles as one scalar accessor and return its index."""
        indices = _smallest_unsigned(triangles.ravel())
        view = self.add_view(indices.tobytes(), gltf.ELEMENT_ARRAY_BUFFER)
        return self._add_accessor(indices, gltf.SCALAR, bufferView=view)

    def add_vectors(self, vectors: np.ndarray) -> int:
        """Append (P, 2 or 3) vectors as float32, whole, and return the accessor's index."""
        vectors = vectors.astype("<f4")
        view = self.add_view(vectors.tobytes(), gltf.ARRAY_BUFFER)
        return self._add_accessor(vectors, f"VEC{vectors.shape[1]}", bufferView=view)

    def add_keys(self, values: np.ndarray) -> int:
        """Append an animation's times or values, (N,) or (N, 3 or 4), as float32 and return the accessor's index."""
        values = values.astype("<f4")
        kind = gltf.SCALAR if values.ndim == 1 else f"VEC{values.shape[1]}"
        return self._add_accessor(values, kind, bufferView=self.add_view(values.tobytes()))

    def add_deltas(self, deltas: np.ndarray) -> int:
        """Append (P, 3) deltas as float32, only the rows that are not zero where that is smaller."""
        deltas = deltas.astype("<f4")
        rows = np.flatnonzero(_any_coordinate(deltas))
        if len(rows) == 0:
            rows = np.array([0])  # a sparse accessor needs one row, and not every reader takes one without any data
        indices = _smallest_unsigned(rows)
        values = deltas[rows]
        if indices.nbytes + values.nbytes >= deltas.nbytes:
            return self.add_vectors(deltas)
        sparse = gltf.Sparse(
            count=len(rows),
            indices=gltf.AccessorSparseIndices(
                bufferView=self.add_view(indices.tobytes()), componentType=_COMPONENT_TYPES[indices.dtype.str]
            ),
            values=gltf.AccessorSparseValues(bufferView=self.add_view(values.tobytes())),
        )
        return self._add_accessor(deltas, gltf.VEC3, sparse=sparse, byteOffset=None)

    def _add_accessor(self, values: np.ndarray, kind: str, **storage: object) -> int:
        """Describe values, wherever they are stored, and return the accessor's index."""
        self.accessors.append(
            gltf.Accessor(
                componentType=_COMPONENT_TYPES[values.dtype.str],
                count=len(values),
                type=kind,
                min=[column.min().item() for column in np.atleast_2d(values.T)],
                max=[column.max().item() for column in np.atleast_2d(values.T)],
                **storage,
            )
        )
        return len(self.accessors) - 1


def _smallest_unsigned(indices: np.ndarray) -> np.ndarray:
    """Return the indices as 16 bit where they fit; 65535 itself is reserved (glTF 3.7.2.1)."""
    return indices.astype("<u2" if indices.max() < 65535 else "<u4")


def _add_surface(file: BinaryFile, mesh: GlbMesh) -> tuple[gltf.Primitive, np.ndarray]:
    """Add the neutral head; return its primitive and (P,) the model vertex behind each of the file's vertices."""
    vertex_of, uv_of, triangles = split_at_seams(mesh.triangles, mesh.uv_triangles)
    normals = unit_normals(mesh.vertices_mm, mesh.triangles)
    attributes = gltf.Attributes(
        POSITION=file.add_vectors(mesh.vertices_mm[vertex_of] * METRES_PER_MM),
        NORMAL=file.add_vectors(normals[vertex_of]),
        TEXCOORD_0=file.add_vectors((mesh.uv * (1.0, -1.0) + (0.0, 1.0))[uv_of]),
    )
    return gltf.Primitive(attributes=attributes, indices=file.add_indices(triangles), material=0), vertex_of


def _add_morphs(file: BinaryFile, mesh: GlbMesh, vertex_of: np.ndarray) -> list[gltf.Attributes]:
    """Add the displacement of positions and normals for each morph."""
    return [
        gltf.Attributes(
            POSITION=file.add_deltas(moved_mm[vertex_of] * METRES_PER_MM), NORMAL=file.add_deltas(turned[vertex_of])
        )
        for moved_mm, turned in morph_changes(mesh)
    ]


def morph_changes(mesh: GlbMesh) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each morph how far it moves the vertices, and how it turns their normals, (V, 3) each; zero where hardly."""
    neutral_normals = unit_normals(mesh.vertices_mm, mesh.triangles)
    for deltas_mm in mesh.morph_deltas_mm:
        moved_mm = _without_negligible(deltas_mm, NEGLIGIBLE_MM)
        yield moved_mm, _without_negligible(_normal_deltas(mesh, moved_mm, neutral_normals), NEGLIGIBLE_NORMAL)


def _normal_deltas(mesh: GlbMesh, moved_mm: np.ndarray, neutral_normals: np.ndarray) -> np.ndarray:
    """(V, 3) how far a morph moves the normals; computed only around the vertices that it moves."""
    is_moved = _any_coordinate(moved_mm)
    is_turned = np.zeros(len(is_moved), dtype=bool)
    is_turned[mesh.triangles[_any_corner(is_moved, mesh.triangles)]] = True
    around = mesh.triangles[_any_corner(is_turned, mesh.triangles)]
    is_near = np.zeros_like(is_turned)
    is_near[around] = True
    number = np.cumsum(is_near) - 1
    normals = unit_normals((mesh.vertices_mm + moved_mm)[is_near], number[around])
    deltas = np.zeros_like(neutral_normals)
    deltas[is_turned] = normals[number[is_turned]] - neutral_normals[is_turned]
    return deltas


def _any_coordinate(vectors: np.ndarray) -> np.ndarray:
    """(N,) bool: which vectors (N, 3) are not zero; by columns, as numpy is slow along an axis of three."""
    return (vectors[:, 0] != 0) | (vectors[:, 1] != 0) | (vectors[:, 2] != 0)


def _any_corner(is_chosen: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(F,) bool: which triangles have a corner among the chosen vertices."""
    return is_chosen[triangles[:, 0]] | is_chosen[triangles[:, 1]] | is_chosen[triangles[:, 2]]


def unit_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(V, 3) normals; +z where no triangle gives one, since glTF wants every normal to have length one."""
    normals = vertex_normals(vertices, triangles)
    normals[~_any_coordinate(normals)] = (0.0, 0.0, 1.0)
    return normals


def _without_negligible(deltas: np.ndarray, negligible: float) -> np.ndarray:
    """Return (V, 3) deltas with the rows that are shorter than `negligible` set to zero."""
    x, y, z = deltas.T
    return deltas * (x * x + y * y + z * z >= negligible**2)[:, None]


def _skin_material() -> gltf.Material:
    return gltf.Material(
        name="skin",
        pbrMetallicRoughness=gltf.PbrMetallicRoughness(
            baseColorTexture=gltf.TextureInfo(index=0), metallicFactor=0.0, roughnessFactor=SKIN_ROUGHNESS
        ),
        doubleSided=False,
    )


def _trilinear_sampler() -> gltf.Sampler:
    return gltf.Sampler(
        magFilter=gltf.LINEAR,
        minFilter=gltf.LINEAR_MIPMAP_LINEAR,
        wrapS=gltf.CLAMP_TO_EDGE,
        wrapT=gltf.CLAMP_TO_EDGE,
    )
