# SPDX-License-Identifier: Apache-2.0
"""Learned corrections of a face model, the model that has them, and their file (arXiv:1712.02859, section 5; no torch).

    V(α, δ, δ_g) = V(α, δ) + Θ_g δ_g,      A(β, δ_r) = exp(log-mean + B_refl β + Θ_r δ_r)

Θ_g and Θ_r move the vertices of the face alone. They are linear, as shape and reflectance are, so a corrected model is
a face model with longer bases: everything that decodes, fits, draws or exports faces takes it as it is, with the full
coefficients [α, δ_g] and [β, δ_r] of a FaceCode. The paper adds reflectance linearly; here it is log albedo that is
added, as in the base model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facefactor.errors import IncompatibleCode
from facefactor.face.model import FaceModel
from facefactor.tensor_file import read_tensor_file

if TYPE_CHECKING:
    from jaxtyping import Float, Int

FORMAT = "facefactor.correctives/1"
LEARNED_FILE = "learned.safetensors"
"""What `export-weights` calls the file."""


@dataclass(frozen=True, eq=False)
class Correctives:
    """Corrective bases over some vertices of a face model."""

    vertices: Int[np.ndarray, " moved"]
    """Native vertices that they move, each once."""
    geometry_basis: Float[np.ndarray, "geometry moved 3"]
    """Θ_g, millimetres per unit of its coefficient."""
    reflectance_basis: Float[np.ndarray, "reflectance moved 3"]
    """Θ_r, log albedo per unit of its coefficient."""
    model_hash: str
    """Of the face model that they correct."""
    facts: Mapping[str, str]
    """Where they come from, such as the training run's step."""
    encoder_graph: bytes = b""
    """The ONNX graph of the encoder whose answers hold their coefficients, in the same file; empty for none."""


def corrected_model(model: FaceModel, correctives: Correctives) -> FaceModel:
    """Lay a model's bases and the corrective ones end to end.

    The hash of the corrected model names both.

    Raises:
        IncompatibleCode: the correctives are of another face model.
    """
    if correctives.model_hash != model.model_hash:
        found = f"the face model {correctives.model_hash}, the one here is {model.model_hash}"
        raise IncompatibleCode(f"the corrections are of {found}")
    geometry = _spread(correctives.geometry_basis, correctives.vertices, model.num_vertices)
    unmoved = np.zeros((2, len(geometry), *model.blink_basis.shape[2:]), dtype=np.float32)
    return replace(
        model,
        shape_basis=np.concatenate([model.shape_basis, geometry]),
        blink_basis=np.concatenate([model.blink_basis, unmoved], axis=1),
        reflectance_basis=_with_subdivided(model, correctives.reflectance_basis, correctives.vertices),
        model_hash=hashlib.sha256(_encode(replace(correctives, encoder_graph=b""))).hexdigest()[:16],
    )


def save_correctives(correctives: Correctives, path: Path) -> None:
    """Write them as a safetensors file, bases as float16.

    Raises:
        OutputUnwritable: the file cannot be written.
    """
    from facefactor.export.atomic import write_bytes

    write_bytes(path, _encode(correctives))


def load_correctives(path: Path) -> Correctives:
    """Read what `save_correctives` wrote.

    Raises:
        AssetMissing: no such file.
        IncompatibleCode: it holds no correctives of this version.
    """
    arrays, metadata = read_tensor_file(path, FORMAT)
    return Correctives(
        arrays["vertices"].astype(np.int64),
        arrays["geometry_basis"].astype(np.float32),
        arrays["reflectance_basis"].astype(np.float32),
        metadata["model_hash"],
        json.loads(metadata["facts"]),
        arrays["encoder_graph"].tobytes() if "encoder_graph" in arrays else b"",
    )


def _encode(correctives: Correctives) -> bytes:
    from safetensors.numpy import save

    from facefactor.face.model import sort_header

    metadata = {
        "format": FORMAT,
        "model_hash": correctives.model_hash,
        "facts": json.dumps(dict(correctives.facts), sort_keys=True),
    }
    arrays: dict[str, np.ndarray] = {
        "vertices": correctives.vertices.astype(np.int32),
        "geometry_basis": correctives.geometry_basis.astype(np.float16),
        "reflectance_basis": correctives.reflectance_basis.astype(np.float16),
    }
    if correctives.encoder_graph:
        arrays["encoder_graph"] = np.frombuffer(correctives.encoder_graph, dtype=np.uint8)
    return sort_header(save(arrays, metadata=metadata))


def _spread(basis: np.ndarray, vertices: np.ndarray, count: int) -> np.ndarray:
    """(K, N, 3) over some vertices to (K, V, 3) over all."""
    spread = np.zeros((len(basis), count, 3), dtype=np.float32)
    spread[:, vertices] = basis.astype(np.float16)  # as its file holds it
    return spread


def _with_subdivided(model: FaceModel, basis: np.ndarray, vertices: np.ndarray) -> np.ndarray:
    """The model's basis of albedo and (K, N, 3) more over some native vertices, at all subdivided ones.

    Subdividing smooths; albedo at the native vertices stays theirs.
    """
    halves = basis.astype(np.float16).astype(np.float32)  # as its file holds it
    weights = model.subdivision[:, vertices]
    reached = np.unique(weights.nonzero()[0])
    values = weights[reached] @ halves.transpose(1, 0, 2).reshape(len(vertices), -1)
    first, native = len(model.reflectance_basis), slice(model.num_vertices)
    full = np.zeros((first + len(basis), model.num_subdivided, 3), dtype=np.float32)
    full[:first] = model.reflectance_basis
    full[first:, reached] = values.reshape(len(reached), -1, 3).transpose(1, 0, 2)
    full[first:, native] = 0.0
    full[first:, vertices] = halves
    return full
