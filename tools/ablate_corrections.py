# SPDX-License-Identifier: Apache-2.0
"""What each regulariser of multi-level learning is for: short runs without each of them, measured and drawn.

    python tools/ablate_corrections.py photos --test photos_test --init mofa.safetensors --steps 60 --out ablation

The base level learns slowly, the corrections fast, so that short runs show what longer ones would. All runs start from
the same weights and the same principal components, see the same photos in the same order, and differ in one thing. The
report has both levels' errors on photos that none learned from, and what goes wrong:

    roughness     root mean square of neighbours' difference of displacement, mm: noise in the geometry
    one-sided     mean difference of the change of log albedo between the face's halves: a side light that is painted on
    speckle       root mean square of neighbours' difference of the change of log albedo
    size          root mean square of the displacement, mm, and of the change of log albedo
"""

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from facefactor.camera.pose import matrix_from_axis_angle, move_to_camera
from facefactor.camera.projection import crop_intrinsics
from facefactor.code.face_code import FaceCode
from facefactor.data.photographs import PhotoCorpus, exact_batch
from facefactor.data.rare_photos import RareRepeats
from facefactor.evaluate.encoders import answer_in_batches
from facefactor.evaluate.tables import Table, write_tables
from facefactor.export.atomic import encode_png, write_bytes
from facefactor.face.correctives import corrected_model
from facefactor.face.fade import face_opacity
from facefactor.face.model import FaceModel, load_face_model
from facefactor.face.morph import MorphableFace
from facefactor.light.spherical_harmonics import LUMINANCE_WEIGHTS
from facefactor.render.views import PosedFace, render_views
from facefactor.train.loop import LoopSettings
from facefactor.train.mofa import MofaSettings
from facefactor.train.multilevel import (
    CorrectiveWeights,
    HeldOutLevels,
    MultilevelNetwork,
    MultilevelSettings,
    train_multilevel,
)

WHOLE, ALL_OFF = CorrectiveWeights(), CorrectiveWeights(0.0, 0.0, 0.0, 0.0, 0.0)
VARIANTS: dict[str, dict] = {
    "all": {},
    "no smoothness": {"correctives": dataclasses.replace(WHOLE, smoothness=0.0)},
    "no sparsity": {"correctives": dataclasses.replace(WHOLE, sparsity=0.0)},
    "no constancy": {"correctives": dataclasses.replace(WHOLE, constancy=0.0)},
    "no stabilisation": {"correctives": dataclasses.replace(WHOLE, geometry=0.0, reflectance=0.0)},
    "none of them": {"correctives": ALL_OFF},
    "one look": {"second_look": False},
    "rectified": {"rectified": True},
}
NUM_MEASURED, NUM_RESIDUALS = 128, 1500
PICTURE_PX = 144
GEOMETRY = 1
VIEWS = (0, GEOMETRY, 2)
"""Overlay, geometry and albedo among `render_views`."""
MAGNIFIED = 4.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path, help="corpora of `prepare`")
    parser.add_argument("--test", required=True, type=Path, help="corpus of other photos")
    parser.add_argument("--init", required=True, type=Path, help="weights of the regime `mofa`")
    parser.add_argument("--draw", nargs="+", type=int, default=[117, 300, 430], help="photos of the test corpus")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch-size", type=int, default=24)
    parser.add_argument("--reflectance", type=int, default=256)
    parser.add_argument("--out", required=True, type=Path)
    options = parser.parse_args()
    model, photos, test = load_face_model(), PhotoCorpus(*options.photos), PhotoCorpus(options.test)
    numbers = tuple(np.unique(np.linspace(0, len(test) - 1, NUM_MEASURED).astype(int)).tolist())
    levels, drawn = HeldOutLevels(test, numbers, model), [test[number] for number in options.draw]
    loop = LoopSettings(
        num_steps=options.steps, learning_rate=2e-3, warmup_steps=5, average_decay=0.9, log_interval=10,
        validation_interval=10**6, checkpoint_interval=10**6,
    )  # fmt: skip
    rows, columns = [], [_photos(drawn)]
    for name, given in VARIANTS.items():
        base = MofaSettings(options.batch_size, faces=1, pairs=1, num_held_out=16, rare=RareRepeats(0, 0, 0))
        settings = MultilevelSettings(
            base, 64, options.reflectance, base_rate=0.1, num_residuals=NUM_RESIDUALS, **given
        )
        folder = options.out / name.replace(" ", "_")
        network = train_multilevel(photos, None, model, folder, settings, loop, init=options.init, resume=True)
        assert isinstance(network, MultilevelNetwork)
        network.eval()
        rows.append((name, *_numbers(levels(network), *_faults(network, test, numbers, model))))
        columns.append(_drawn(network, drawn, model))
        print(*rows[-1], sep="\t", flush=True)
    columns_named = (
        "run", "final: landmarks, %", "base", "final: photometric", "base", "final over base", "roughness, mm",
        "one-sided", "speckle", "displacement, mm", "change of log albedo",
    )  # fmt: skip
    facts = {"photos": len(photos), "steps": options.steps, "batch": options.batch_size, "measured on": len(numbers)}
    write_tables(options.out, "Corrections without", facts, [Table("Errors and faults", columns_named, tuple(rows))])
    sheet = np.concatenate(columns, axis=1)
    write_bytes(options.out / "sheet.png", encode_png(np.rint(255 * sheet.clip(0, 1)).astype(np.uint8)))


def _numbers(errors: Mapping[str, float], *faults: float) -> list[float]:
    final, base = errors["photo_photometric"], errors["base_photo_photometric"]
    landmarks = errors["photo_landmark_percent"], errors["base_photo_landmark_percent"]
    return [round(value, 4) for value in (*landmarks, final, base, final / base, *faults)]


@torch.no_grad()
def _faults(
    network: MultilevelNetwork, test: PhotoCorpus, numbers: tuple[int, ...], model: FaceModel
) -> tuple[float, ...]:
    answer = answer_in_batches(network, exact_batch([test[number] for number in numbers]).crops_srgb)
    bases = network.bases
    moved, log_albedo = (
        bases.displacement_mm(answer.geometry_corrective),
        bases.log_albedo(answer.reflectance_corrective),
    )
    across = torch.from_numpy(model.mean[bases.vertices.numpy(), 0])
    tone = log_albedo @ torch.tensor(LUMINANCE_WEIGHTS)
    sides = [tone[:, side].mean(dim=1) for side in (across < -10, across > 10)]
    return (
        _rms(moved[:, bases.edges[:, 0]] - moved[:, bases.edges[:, 1]]),
        float((sides[0] - sides[1]).abs().mean()),
        _rms(log_albedo[:, bases.edges[:, 0]] - log_albedo[:, bases.edges[:, 1]]),
        _rms(moved),
        _rms(log_albedo),
    )


def _rms(vectors: Tensor) -> float:
    return float(vectors.square().sum(dim=-1).mean().sqrt())


def _photos(samples: list) -> np.ndarray:
    """The photos, one below the other, with as much room below each as its pictures take."""
    crops = exact_batch(samples).crops_srgb.movedim(1, -1).numpy()
    cells = []
    for crop in crops:
        cells += [_enlarged(crop), np.zeros(((len(VIEWS) - 1) * PICTURE_PX, PICTURE_PX, 3), dtype=np.float32)]
    return np.concatenate(cells)


@torch.no_grad()
def _drawn(network: nn.Module, samples: list, model: FaceModel) -> np.ndarray:
    """Overlay, geometry and albedo of each photo's final level, one below the other; its corrections of geometry are
    drawn MAGNIFIED times as large, or nobody would see them."""
    assert isinstance(network, MultilevelNetwork)
    encoder, correctives = network.learned_model({})
    corrected, crops = corrected_model(model, correctives), exact_batch(samples).crops_srgb
    code: FaceCode[Tensor] = answer_in_batches(encoder.eval(), crops)
    face, opacity = MorphableFace(corrected, native_albedo=True), face_opacity(model)
    placed = face.vertices(code.full_shape, code.expression)
    plain = MorphableFace(model, native_albedo=True).vertices(code.shape, code.expression)
    R = matrix_from_axis_angle(code.rotation)
    vertices = move_to_camera(placed, R, code.translation).numpy()
    magnified = move_to_camera(plain + MAGNIFIED * (placed - plain), R, code.translation).numpy()
    albedo, lights, K = (
        face.albedo(code.full_reflectance).numpy(),
        code.illumination.numpy(),
        crop_intrinsics(PICTURE_PX),
    )
    cells = []
    for item, crop in enumerate(crops.movedim(1, -1).numpy()):
        posed = PosedFace(vertices[item], albedo[item], lights[item], model.triangles, opacity)
        views = list(render_views(posed, K, _enlarged(crop)))
        exaggerated = PosedFace(magnified[item], albedo[item], lights[item], model.triangles, opacity)
        views[GEOMETRY] = list(render_views(exaggerated, K, _enlarged(crop)))[GEOMETRY]
        cells += [views[view] for view in VIEWS]
    return np.concatenate(cells)


def _enlarged(crop: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(np.rint(255 * crop).astype(np.uint8)).resize(
        (PICTURE_PX, PICTURE_PX), Image.Resampling.BICUBIC
    )
    return np.asarray(picture, dtype=np.float32) / 255.0


if __name__ == "__main__":
    main()
