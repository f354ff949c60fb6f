# SPDX-License-Identifier: Apache-2.0
"""Read the project's real and synthetic scans as targets for the shape space.

`scans/`: LeePerrySmith.glb and james.obj, meshes without a unit. `real_scans/`: clouds of the faces of two people with
expressions, millimetres. `heads/`: heads of known shape from ICT-FaceKit's modes, millimetres. The landmarks of
james.obj and of the clouds were set by people, those of the heads are vertices; Lee Perry-Smith's are MediaPipe's,
marked on renders of the scan by `tools/mark_scan.py` and kept here as places on its surface.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from facefactor.code.names import EXPRESSION_NAMES
from facefactor.errors import AssetMissing
from facefactor.evaluate.target import FIRST_INNER, NUM_IBUG, Landmarks3d, RawFace, Target, make_target

JAMES_GROUPS_IN_IBUG_ORDER = ("chin", "leyebrow", "reyebrow", "nose", "leye", "reye", "mouth")
"""Labels of james.ljson; "l" and "r" are the picture's."""
MAX_LANDMARK_DISTANCE_MM = 2.0
"""A person's mark farther than this from the cloud is dropped."""
LEE_PERRY_SMITH_MARKS = Path(__file__).with_name("lee_perry_smith_landmarks.json")

SHUT_EYES = ("eyeBlinkLeft", "eyeBlinkRight")
"""Lee Perry-Smith was scanned with his eyes shut."""
NO_TRIANGLES = np.zeros((0, 3), dtype=np.int32)
INNER = np.arange(FIRST_INNER, NUM_IBUG)


def load_targets(data: Path) -> Iterator[Target]:
    """Read every target of a data folder, one after the other.

    Args:
        data: folder that holds scans/, real_scans/ and heads/.

    Raises:
        AssetMissing: a folder or file is not there.
    """
    yield make_target(read_lee_perry_smith(data / "scans" / "LeePerrySmith.glb"))
    yield make_target(read_james(data / "scans" / "james.obj"))
    for path in _files(data / "real_scans", "*_points.npz"):
        yield make_target(read_cloud(path))
    for path in _files(data / "heads", "[0-9]*.npz"):
        yield make_target(read_head(path))


def read_lee_perry_smith(path: Path) -> RawFace:
    """Read the scan with the landmarks kept beside this module."""
    vertices, triangles = _read_glb(path)
    marks = json.loads(LEE_PERRY_SMITH_MARKS.read_text())
    points = (vertices[np.array(marks["vertices"])] * np.array(marks["weights"])[:, :, None]).sum(axis=1)
    ibug = np.full((NUM_IBUG, 3), np.nan)
    ibug[INNER] = points
    landmarks = Landmarks3d("mediapipe478", INNER, points)
    return RawFace("lee_perry_smith", "scans", False, SHUT_EYES, vertices, triangles, landmarks, ibug)


def read_james(path: Path) -> RawFace:
    """Read the scan and james.ljson beside it."""
    vertices, triangles = _read_obj(path)
    marks = json.loads(_existing(path.with_suffix(".ljson")).read_text())["groups"]["LJSON"]
    masks = {label["label"]: label["mask"] for label in marks["labels"]}
    order = [number for group in JAMES_GROUPS_IN_IBUG_ORDER for number in masks[group]]
    ibug = np.array(marks["landmarks"]["points"], dtype=float)[order]
    landmarks = Landmarks3d("ibug68", INNER, ibug[INNER])
    return RawFace("james", "scans", False, (), vertices, triangles, landmarks, ibug)


def read_cloud(path: Path) -> RawFace:
    """Read NAME_points.npz and NAME_landmarks.txt: 70 marks, the 68 of iBUG in order and two on the forehead."""
    name = path.name.removesuffix("_points.npz")
    with np.load(_existing(path)) as file:
        points = file["points_mm"].astype(float)
    ibug = np.loadtxt(_existing(path.with_name(f"{name}_landmarks.txt")))[:NUM_IBUG]
    distance, _ = cKDTree(points).query(ibug[INNER])
    trusted = INNER[distance <= MAX_LANDMARK_DISTANCE_MM]
    landmarks = Landmarks3d("ibug68", trusted, ibug[trusted])
    return RawFace(name, "clouds", True, EXPRESSION_NAMES, points, NO_TRIANGLES, landmarks, ibug)


def read_head(path: Path) -> RawFace:
    """Read the neutral head of NNN.npz and topology.npz beside it."""
    return _read_head(path, "neutral")


def read_posed_head(path: Path) -> RawFace:
    """Read the head of NNN.npz as NNN.jpg shows it, with its expression; millimetres, camera frame."""
    return _read_head(path, "vertices_camera")


def _read_head(path: Path, which: str) -> RawFace:
    with np.load(_existing(path)) as file:
        vertices = file[which].astype(float)
    with np.load(_existing(path.with_name("topology.npz"))) as file:
        triangles, face, marks = file["triangles"], file["face"], file["landmarks68"]
    ibug = vertices[marks]
    landmarks = Landmarks3d("ibug68", INNER, ibug[INNER])
    return RawFace(f"head_{path.stem}", "heads", True, (), vertices, triangles, landmarks, ibug, face)


def _read_obj(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (N, 3) and triangles (M, 3) of a Wavefront OBJ file whose faces are triangles."""
    lines = [line.split() for line in _existing(path).read_text().splitlines()]
    vertices = np.array([line[1:4] for line in lines if line[:1] == ["v"]], dtype=float)
    corners = [[int(corner.split("/")[0]) - 1 for corner in line[1:4]] for line in lines if line[:1] == ["f"]]
    return vertices, np.array(corners, dtype=np.int32)


def _read_glb(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (N, 3) and triangles (M, 3) of the first mesh of a binary glTF file."""
    from pygltflib import GLTF2

    file = GLTF2().load_binary(str(_existing(path)))
    primitive = file.meshes[0].primitives[0]
    vertices = _read_accessor(file, primitive.attributes.POSITION, 3)
    return vertices.astype(float), _read_accessor(file, primitive.indices, 1).reshape(-1, 3).astype(np.int32)


def _read_accessor(file, index: int, width: int) -> np.ndarray:
    """(count, width) values of one accessor; tightly packed, little-endian."""
    accessor = file.accessors[index]
    view = file.bufferViews[accessor.bufferView]
    dtype = {5123: "<u2", 5125: "<u4", 5126: "<f4"}[accessor.componentType]
    start = (view.byteOffset or 0) + (accessor.byteOffset or 0)
    return np.frombuffer(file.binary_blob(), dtype, accessor.count * width, start).reshape(-1, width)


def _files(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.glob(pattern))
    if not found:
        raise AssetMissing(f"{folder}: has no {pattern}, which the shape space is measured on")
    return found


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise AssetMissing(f"{path}: needed to measure the shape space and not there")
    return path
