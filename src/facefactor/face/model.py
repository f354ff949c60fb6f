# SPDX-License-Identifier: Apache-2.0
"""The face model as a file and as a record of numpy arrays; no torch here.

    V(α, δ) = mean + Σ_k α_k shape_k + Σ_j δ_j (expression_j + Σ_k α_k blink_jk)      (blink_jk = 0 but for the blinks)
    A(β)    = exp(log_mean + Σ_k β_k reflectance_k)

Geometry lives on the native mesh of V vertices; albedo on the mesh refined by one Catmull–Clark step, S vertices of
which the first V are the native ones. The linear albedo model of the papers (arXiv:1703.10580, eq. 2) is a model of
its logarithm here, so that albedo stays positive. `morph.py` evaluates these formulas.
"""

import dataclasses
import functools
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from facefactor.errors import AssetMissing
from facefactor.tensor_file import read_tensor_file

FORMAT = "facefactor.model/1"
SHIPPED_MODEL = Path(__file__).resolve().parents[1] / "assets" / "face_model.safetensors"
ALBEDO_RANGE = (0.01, 0.95)
"""Least and largest linear albedo of anything on a head."""
HALF_PRECISION = ("shape_basis", "expression_basis", "blink_basis", "log_albedo_mean", "reflectance_basis")
"""Arrays stored as float16: 0.005 mm and 0.002 in log albedo at the most."""


@dataclass(frozen=True)
class FaceModel:
    """A linear head model. Head frame: x to the subject's left, y up, z out of the face, origin between the eyes."""

    mean: np.ndarray
    """(V, 3) millimetres."""
    shape_basis: np.ndarray
    """(K_s, V, 3) millimetres per standard deviation."""
    expression_basis: np.ndarray
    """(52, V, 3) millimetres at weight 1, in the order of EXPRESSION_NAMES."""
    blink_vertices: np.ndarray
    """(N,) vertices whose blink depends on identity."""
    blink_basis: np.ndarray
    """(2, K_s, N, 3) millimetres per standard deviation of shape: added to eyeBlinkLeft and eyeBlinkRight."""
    log_albedo_mean: np.ndarray
    """(S, 3) natural logarithm of linear RGB."""
    reflectance_basis: np.ndarray
    """(K_r, S, 3) log albedo per standard deviation."""
    triangles: np.ndarray
    """(F, 3) native vertex ids, counter-clockwise from outside."""
    quads: np.ndarray
    """(Q, 4) native vertex ids."""
    uv: np.ndarray
    """(W, 2) texture coordinates in [0, 1], v up."""
    uv_triangles: np.ndarray
    """(F, 3) ids into `uv`, parallel to `triangles`."""
    subdivision: sparse.csr_matrix
    """(S, V) one Catmull–Clark step."""
    triangles_subdivided: np.ndarray
    """(4F, 3)"""
    uv_subdivided: np.ndarray
    """(W', 2)"""
    uv_triangles_subdivided: np.ndarray
    """(4F, 3)"""
    landmarks68_vertices: np.ndarray
    """(68, 3) native vertex ids of the triangle each iBUG landmark lies in."""
    landmarks68_weights: np.ndarray
    """(68, 3) barycentric weights."""
    landmarks478_vertices: np.ndarray
    """(478, 3) the same for the MediaPipe points; the last ten are the irises."""
    landmarks478_weights: np.ndarray
    """(478, 3)"""
    regions: dict[str, np.ndarray]
    """Region name to native vertex ids."""
    provenance: dict
    """Where every part comes from: sources, licences, versions, seed, measures."""
    model_hash: str
    """First 16 hexadecimal digits of the SHA-256 of the file's bytes."""

    @property
    def num_vertices(self) -> int:
        """V, vertices of the native mesh."""
        return len(self.mean)

    @property
    def num_subdivided(self) -> int:
        """S, vertices of the subdivided mesh."""
        return self.subdivision.shape[0]


@functools.cache
def load_face_model(path: Path | None = None) -> FaceModel:
    """Read a face model; the shipped one by default.

    Args:
        path: a file written by `save_face_model`.

    Raises:
        AssetMissing: no such file.
        IncompatibleCode: not a face model of this version.
    """
    path = SHIPPED_MODEL if path is None else path
    if not os.path.isfile(path):
        raise AssetMissing(f"{path}: there is no face model; the wheel ships one, `facefactor model build` makes one")
    arrays, metadata = read_tensor_file(path, FORMAT)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return _from_arrays(arrays, json.loads(metadata["provenance"]), digest)


def save_face_model(model: FaceModel, path: Path) -> None:
    """Write a face model as safetensors, with its provenance inside and, readable, in a JSON file beside it."""
    from safetensors.numpy import save

    from facefactor.export.atomic import write_bytes

    provenance = json.dumps(model.provenance, indent=2, sort_keys=True)
    metadata = {"format": FORMAT, "provenance": provenance}
    write_bytes(path, sort_header(save(_to_arrays(model), metadata=metadata)))
    write_bytes(path.with_suffix(".json"), (provenance + "\n").encode())


def sort_header(content: bytes) -> bytes:
    """Safetensors with its header's keys in order: the library writes metadata at random, and the hash covers it."""
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def _to_arrays(model: FaceModel) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for field in dataclasses.fields(model):
        value = getattr(model, field.name)
        if isinstance(value, np.ndarray):
            arrays[field.name] = np.ascontiguousarray(value, dtype=_storage_type(field.name, value))
    arrays["subdivision.data"] = model.subdivision.data.astype(np.float32)
    arrays["subdivision.indices"] = model.subdivision.indices.astype(np.int32)
    arrays["subdivision.indptr"] = model.subdivision.indptr.astype(np.int32)
    for name, ids in model.regions.items():
        arrays[f"region.{name}"] = ids.astype(np.int32)
    return arrays


def _from_arrays(arrays: dict[str, np.ndarray], provenance: dict, digest: str) -> FaceModel:
    pointers = arrays.pop("subdivision.indptr")
    parts = arrays.pop("subdivision.data"), arrays.pop("subdivision.indices"), pointers
    regions = {
        name.removeprefix("region."): arrays.pop(name).astype(np.int64)
        for name in sorted(arrays)
        if name.startswith("region.")
    }
    widened = {name: array.astype(np.float32) if array.dtype == np.float16 else array for name, array in arrays.items()}
    subdivision = sparse.csr_matrix(parts, shape=(len(pointers) - 1, len(arrays["mean"])))
    return FaceModel(**widened, subdivision=subdivision, regions=regions, provenance=provenance, model_hash=digest)


def _storage_type(name: str, value: np.ndarray) -> type:
    if name in HALF_PRECISION:
        return np.float16
    return np.float32 if np.issubdtype(value.dtype, np.floating) else np.int32
