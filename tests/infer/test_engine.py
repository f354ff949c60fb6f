# SPDX-License-Identifier: Apache-2.0
"""The engine that looks once, in a process where neither torch nor MediaPipe can be imported."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from skimage.data import astronaut

from facefactor.apps import cli
from facefactor.apps.engines import open_engine
from facefactor.data.synthetic import SyntheticFaces, SyntheticSettings
from facefactor.errors import AssetMissing
from facefactor.evaluate.landmark_error import landmark_box_side_px, landmark_percent
from facefactor.export.record import read_face_record
from facefactor.face.model import FaceModel
from facefactor.infer.engine import EncoderEngine, shipped_weights
from facefactor.infer.predictor import EncoderGraph
from facefactor.losses.landmark import CropLandmarks
from facefactor.photo.cropped_face import CroppedFace
from facefactor.photo.detect import FaceBox
from facefactor.photo.find import FoundFace
from facefactor.photo.landmarks import Landmarks
from facefactor.photo.read import photo_from_array

RECONSTRUCT = """
import pathlib, sys
for module in ("torch", "jaxtyping", "mediapipe", "onnx"):
    sys.modules[module] = None
import numpy as np
from facefactor.apps import cli, reconstruction
from facefactor.infer import engine
from facefactor.photo.landmarks import Landmarks

class Points:
    def detect(self, photo, box):
        return Landmarks(np.load(sys.argv[2]), np.ones(478))

engine.shipped_weights = lambda name: pathlib.Path(sys.argv[1])
reconstruction.open_landmark_detector = Points
sys.exit(cli.main(["reconstruct", sys.argv[3], "--engine", "inverse", "--json", "--out", sys.argv[4]]))
"""


@pytest.fixture(scope="module")
def face(model: FaceModel) -> CroppedFace:
    """The astronaut with landmarks that are the mean head's, put where her face is."""
    points = (model.landmarks478_weights[..., None] * model.mean[model.landmarks478_vertices]).sum(axis=1)
    points_px = np.array([222.0, 118.0]) + 0.75 * points[:, :2] * (1.0, -1.0)
    box = FaceBox(172.0, 68.0, 100.0, 100.0, 0.9)
    found = FoundFace(box, Landmarks(points_px.astype(np.float64), np.ones(478)))
    return CroppedFace.of(photo_from_array(astronaut(), "astronaut.png"), found, 224)


def test_the_engine_answers_what_its_graph_says_of_the_crop(graphs: Path, model: FaceModel, face: CroppedFace):
    engine = EncoderEngine("inverse", model, graphs / "encoder.onnx", num_threads=1)
    code = engine.describe(face)
    graph = EncoderGraph(graphs / "encoder.onnx", model, num_threads=1)
    np.testing.assert_array_equal(code.pack(), graph.encode(face.srgb_at(128)[None]).pack()[0])
    assert code.batch_shape == ()
    assert (engine.name, engine.weights_hash) == ("inverse", graph.facts.get("weights_hash"))


def test_weights_that_are_not_there_are_named(model: FaceModel):
    assert shipped_weights("inverse").name == "inverse.onnx"
    with pytest.raises(AssetMissing, match=r"none_such\.onnx: no such file"):
        EncoderEngine("none_such", model)


@pytest.mark.parametrize("name", [name for name in cli.ENGINES if name != "fit"])
def test_shipped_encoders_see_rendered_faces(name: str, model: FaceModel):
    """Their landmarks are within some per cent of the face's side; an untrained encoder's are twenty off."""
    batch = SyntheticFaces(SyntheticSettings(seed=8), model=model).make_batch(0, 24)
    engine = open_engine(name, model, num_threads=1)
    assert isinstance(engine, EncoderEngine)
    code = engine.encoder.encode(batch.crops_srgb.movedim(1, 3).contiguous().numpy()).to_torch()
    projected_px, side_px = CropLandmarks(engine.model).project(code), landmark_box_side_px(batch.landmarks_px)
    assert float(landmark_percent(projected_px, batch.landmarks_px, side_px).median()) < 4.5


def test_three_files_are_written_without_torch_and_mediapipe(graphs: Path, face: CroppedFace, tmp_path: Path):
    from PIL import Image

    Image.fromarray(astronaut()).save(tmp_path / "a.png")
    np.save(tmp_path / "points.npy", face.found.landmarks.points_px)
    arguments = [graphs / "encoder.onnx", tmp_path / "points.npy", tmp_path / "a.png", tmp_path / "out"]
    command = [sys.executable, "-c", RECONSTRUCT, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    line = json.loads(done.stdout)
    record = read_face_record(Path(line["json"]))
    assert record.engine == "inverse"
    assert record.camera.R.shape == (3, 3)
    assert Path(line["glb"]).read_bytes()[:4] == b"glTF"
    assert Path(line["png"]).stat().st_size > 10_000
