# SPDX-License-Identifier: Apache-2.0
"""Learn encoder and face model together from photos: multi-level face model learning (arXiv:1712.02859).

    photo crop ─encoder─► base code ─┬─ base model ──────────────────► base level  ┐
           └── second look ─► δ_g, δ_r ┴─ base model + Θ_g δ_g, Θ_r δ_r ► final level ┴► both compared with the crop

The base level is what MoFA trains, and its loss is here once more; it keeps the code's meaning. The final level adds
corrections of geometry and albedo, in spaces that are themselves learnt, held to order by the terms of
`losses/correctives.py`: what photos show and the base model cannot say, such as beards, brows and make-up. Beyond the
paper, a second look (`encode/second_look.py`) reads most of them. As in the paper the base comes first, by MoFA's
regime, then all learn together, at rates of their own. Everything else, from the batches to the pairs of one person, is
MoFA's.
"""

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from facefactor.camera.pose import matrix_from_axis_angle, move_to_camera
from facefactor.camera.projection import project_points
from facefactor.code.face_code import PART_SHAPES, FaceCode
from facefactor.data.batch import CropBatch
from facefactor.data.photographs import PhotoBatches, PhotoCorpus
from facefactor.data.synthetic_corpus import SyntheticBatches, SyntheticCorpus
from facefactor.encode.encoder import Encoder
from facefactor.encode.second_look import SecondLook
from facefactor.errors import AssetMissing, IncompatibleCode
from facefactor.face.corrective_bases import CorrectedFace, CorrectiveBases
from facefactor.face.correctives import Correctives, corrected_model
from facefactor.face.model import FaceModel
from facefactor.losses.correctives import (
    chroma_of,
    magnitude,
    reflectance_constancy,
    reflectance_sparsity,
    smoothness,
)
from facefactor.losses.model_space import geometry_distance
from facefactor.losses.reconstruction import photometric_term
from facefactor.render.face_view import FaceView, FaceViewer
from facefactor.render.vertex import sample_picture
from facefactor.train.checkpoint import CHECKPOINTS, list_checkpoints, load_weights, read_weight_shapes
from facefactor.train.devices import Devices
from facefactor.train.held_out import HeldOutPhotos, split_numbers
from facefactor.train.loop import LoopSettings
from facefactor.train.mofa import MofaObjective, MofaSettings, train_on_photos
from facefactor.train.residuals import start_from_errors, start_from_residuals

REGIME = "multilevel"
SPREAD_RATE = 0.01
"""By which the spread of answered corrections follows each batch's."""
RESIDUAL_BATCH = 64
NOT_SKIN = ("left_socket", "right_socket", "left_lid_margin", "right_lid_margin", "mouth_lining", "lip_seam")
"""Regions of the face whose albedo need not be the skin's."""


@dataclass(frozen=True)
class CorrectiveWeights:
    """Of the terms that hold corrections to order; 0 switches one off."""

    smoothness: float = 0.15
    """Of neighbours' squared differences of displacement, mm²."""
    sparsity: float = 0.03
    """Of neighbours' differences of log albedo, to the power 0.9."""
    constancy: float = 0.1
    """Of squared differences of log albedo over the skin."""
    geometry: float = 1e-3
    """Of the mean squared displacement, mm²."""
    reflectance: float = 1e-2
    """Of the mean squared change of log albedo."""


@dataclass(frozen=True)
class MultilevelSettings:
    """What is particular to the regime; the loop's own settings are in `LoopSettings`."""

    mofa: MofaSettings = field(default_factory=MofaSettings)
    """Of the base level, of the final level's colours and landmarks, and of the batches."""
    num_geometry: int = 64
    """Vectors of Θ_g; the paper has 500."""
    num_reflectance: int = 256
    """The same of Θ_r."""
    correctives: CorrectiveWeights = field(default_factory=CorrectiveWeights)
    second_look: bool = True
    """Whether corrections are read off what the base level leaves unexplained; the paper's network looks once."""
    rectified: bool = False
    """Whether corrections go through a hidden layer, the paper's non-linear variant; sizes are of that layer."""
    base_rate: float = 0.3
    """Learning rate of the network that answers the base level, relative to that of all that corrections are made of:
    the base level has been learnt before."""
    num_residuals: int = 6000
    """Photos whose residuals the corrections of albedo start from, when there are weights to start from, and rendered
    faces whose errors those of geometry do."""

    restart_geometry: bool = False
    """Whether corrections of geometry start anew, too, from weights that hold corrections."""

    def __post_init__(self) -> None:
        if min(self.num_geometry, self.num_reflectance) < 1:
            sizes = f"{self.num_geometry} and {self.num_reflectance}"
            raise ValueError(f"num_geometry and num_reflectance must be at least 1, got {sizes}")
        if self.rectified and (self.num_geometry % 2 or self.num_reflectance % 2):
            sizes = f"{self.num_geometry} and {self.num_reflectance}"
            raise ValueError(f"num_geometry and num_reflectance must be even when rectified, got {sizes}")
        if not self.base_rate >= 0:
            raise ValueError(f"base_rate must be at least 0, got {self.base_rate}")
        if min(dataclasses.astuple(self.correctives)) < 0:
            raise ValueError(f"the correctives' weights must be at least 0, got {self.correctives}")


class MultilevelNetwork(nn.Module):
    """An encoder with the corrective bases that its answers are for.

    Args:
        model: the face model.
        num_geometry: vectors of Θ_g.
        num_reflectance: vectors of Θ_r.
        second_look: see `MultilevelSettings`.
        rectified: see there.
    """

    spread: Tensor

    def __init__(
        self,
        model: FaceModel,
        num_geometry: int,
        num_reflectance: int,
        second_look: bool = True,
        rectified: bool = False,
    ) -> None:
        super().__init__()
        halved = 2 if rectified else 1
        look = SecondLook(model, num_geometry // halved, num_reflectance // halved) if second_look else None
        self.encoder = Encoder(num_geometry, num_reflectance, look, rectified)
        self.bases = CorrectiveBases(model, num_geometry, num_reflectance, in_pairs=rectified)
        self.register_buffer("spread", torch.ones(num_geometry + num_reflectance))

    def forward(self, crops_srgb: Float[Tensor, "batch 3 size size"]) -> FaceCode[Tensor]:
        """Describe the faces in crops, corrections included."""
        answer = self.encoder(crops_srgb)
        if self.training:
            with torch.no_grad():
                answered = torch.cat((answer.geometry_corrective, answer.reflectance_corrective), dim=-1)
                self.spread.lerp_(answered.square().mean(dim=0).sqrt(), SPREAD_RATE)
        return answer

    @torch.no_grad()
    def learned_model(self, facts: Mapping[str, str]) -> tuple[Encoder, Correctives]:
        """Encoder and corrections in units of how far the encoder's answers are from zero, as shape's are."""
        encoder, found = copy.deepcopy(self.encoder).cpu(), self.bases.correctives(facts)
        spread = self.spread.cpu().clamp_min(1e-6)
        encoder.divide_corrections(spread)
        scales = spread.split((self.bases.geometry.shape[0], self.bases.reflectance.shape[0]))
        geometry, reflectance = (scale[:, None, None].numpy() for scale in scales)
        return encoder, dataclasses.replace(
            found,
            geometry_basis=geometry * found.geometry_basis,
            reflectance_basis=reflectance * found.reflectance_basis,
        )


def train_multilevel(
    photos: PhotoCorpus,
    faces: SyntheticCorpus | None,
    model: FaceModel,
    folder: Path,
    settings: MultilevelSettings,
    loop: LoopSettings,
    *,
    persons: PhotoCorpus | None = None,
    init: Path | None = None,
    devices: Devices | None = None,
    resume: bool = False,
) -> nn.Module:
    """Train an encoder with corrective bases and return them with the averaged weights.

    Args:
        photos: see `train_mofa`, as for the others.
        faces: see there.
        model: the base model.
        folder: of the run.
        settings: of the regime.
        loop: of the loop.
        persons: see there.
        init: weights of an encoder without corrections, such as MoFA's, or of a network of the same sizes; random ones
            when left out.
        devices: see there.
        resume: go on from the folder's last checkpoint.

    Raises:
        AssetMissing, IncompatibleCode, FaceError, OutputUnwritable, FloatingPointError: see there; AssetMissing also
            when geometry is to start anew without rendered faces.
    """
    torch.manual_seed(loop.seed)
    sizes = settings.num_geometry, settings.num_reflectance
    network = MultilevelNetwork(model, *sizes, settings.second_look, settings.rectified)
    if settings.restart_geometry and faces is None:
        raise AssetMissing("geometry's corrections start anew from rendered faces, and there are none")
    if init is not None:
        has_corrections = holds_corrections(init)
        if has_corrections:
            load_weights(network, init)
        else:
            _start_from(network.encoder, init)
        is_resumed = bool(list_checkpoints(folder / CHECKPOINTS))
        if not is_resumed and (settings.restart_geometry or not has_corrections):
            network.to(devices.device if devices else "cpu")
            if not has_corrections:
                learnt, _ = split_numbers(len(photos), settings.mofa.num_held_out)
                batches = PhotoBatches(photos, RESIDUAL_BATCH, loop.seed, numbers=learnt)
                start_from_residuals(network, _first(batches, min(settings.num_residuals, len(learnt))), model)
            if faces is not None:
                rendered = SyntheticBatches(((faces, RESIDUAL_BATCH),), loop.seed)
                start_from_errors(network, _first(rendered, min(settings.num_residuals, len(faces))), model)
    return train_on_photos(
        network,
        MultilevelObjective(model, settings),
        lambda numbers: HeldOutLevels(photos, numbers, model),
        (photos, faces, persons),
        folder,
        settings.mofa,
        loop,
        config={"regime": REGIME, **dataclasses.asdict(settings), "init": None if init is None else str(init)},
        rates={
            f"encoder.{part}.": settings.base_rate for part in ("backbone", *(f"heads.{name}" for name in PART_SHAPES))
        },
        devices=devices,
        resume=resume,
    )


class MultilevelObjective(MofaObjective):
    """The regime's loss: MoFA's at the base level, and its colours and landmarks once more at the final one.

    Args:
        model: the base model.
        settings: of the regime.
    """

    def __init__(self, model: FaceModel, settings: MultilevelSettings) -> None:
        super().__init__(model, settings.mofa)
        self._model, self._correctives = model, settings.correctives
        self._final: FaceViewer | None = None
        face = np.asarray(model.regions["face"])
        excluded = np.concatenate([model.regions[name] for name in NOT_SKIN])
        self._skin = torch.from_numpy(np.flatnonzero(~np.isin(face, excluded)))

    def _of_photos(
        self, encoder: nn.Module, answer: FaceCode[Tensor], view: FaceView, photos: CropBatch, white: Tensor
    ) -> dict[str, Float[Tensor, " batch"]]:
        base = super()._of_photos(encoder, answer.without_corrections(), view, photos, white)
        bases = _network(encoder).bases
        final_view = self._final_viewer(bases).look(answer, view.weights)
        pictures, weights = photos.crops_srgb.movedim(1, -1), self._settings.weights
        terms = {"final_photometric": photometric_term(final_view, pictures, photos.covered, weights)}
        if self._settings.landmarks:
            of_landmarks = self._of_landmarks(self._final_landmarks(bases, answer), photos)
            terms |= {f"final_{name}": term for name, term in of_landmarks.items()}
        return base | terms | self._of_corrections(bases, answer, final_view, photos)

    def _of_corrections(
        self, bases: CorrectiveBases, answer: FaceCode[Tensor], view: FaceView, photos: CropBatch
    ) -> dict[str, Tensor]:
        """How far corrections are from what they may be."""
        weights, moved = self._correctives, bases.vertices
        displacement = bases.displacement_mm(answer.geometry_corrective)
        log_albedo = bases.log_albedo(answer.reflectance_corrective)
        chroma = chroma_of(sample_picture(photos.crops_srgb.movedim(1, -1), view.positions_px[:, moved].detach()))
        skin = self._skin.to(moved.device)
        return {
            "smoothness": weights.smoothness * smoothness(displacement, bases.edges),
            "sparsity": weights.sparsity * reflectance_sparsity(log_albedo, chroma, bases.edges),
            "constancy": weights.constancy * reflectance_constancy(log_albedo, skin),
            "stabilisation": weights.geometry * magnitude(displacement) + weights.reflectance * magnitude(log_albedo),
        }

    def _of_faces(self, encoder: nn.Module, answer: FaceCode[Tensor], faces: CropBatch) -> Float[Tensor, " batch"]:
        """Rendered faces are of the base model: their albedo needs no corrections.

        Those of geometry may mend what the base level, which learns nothing by it, answered wrongly: a second look sees
        it, and here alone all of the surface is known.
        """
        bases, weights, settings = _network(encoder).bases, self._correctives, self._settings
        base = super()._of_faces(encoder, answer.without_corrections(), faces)
        displacement = bases.displacement_mm(answer.geometry_corrective)
        mended = geometry_distance(self._place(answer).detach() + displacement, self._place(faces.code))
        reflectance = magnitude(bases.log_albedo(answer.reflectance_corrective))
        held = weights.geometry * magnitude(displacement) + weights.reflectance * reflectance
        return base + settings.faces_geometry * mended + held

    def _final_viewer(self, bases: CorrectiveBases) -> FaceViewer:
        """Shows corrected faces; made once, as the bases are the network's own."""
        if self._final is None:
            face = CorrectedFace(self._model, bases).to(bases.geometry.device)
            self._final = FaceViewer(face, self._viewer.masks, self._viewer.K, self._viewer.size_px)
        return self._final

    def _final_landmarks(self, bases: CorrectiveBases, answer: FaceCode[Tensor]) -> Float[Tensor, "batch 478 2"]:
        placed = self._landmarks.points.place(answer.shape, answer.expression)
        placed = placed + bases.landmark_displacement_mm(answer.geometry_corrective)
        camera = move_to_camera(placed, matrix_from_axis_angle(answer.rotation), answer.translation)
        return project_points(camera, self._viewer.K)


class HeldOutLevels:
    """Measures both levels on photos that no training sees; the final level's landmark error comes first.

    Args:
        photos: the corpus.
        numbers: of the photos in it.
        model: the base model.
    """

    def __init__(self, photos: PhotoCorpus, numbers: tuple[int, ...], model: FaceModel) -> None:
        self._base, self._model = HeldOutPhotos(photos, numbers, model), model

    def __call__(self, network: nn.Module) -> Mapping[str, float]:
        """Measure the one-pass answers; see `HeldOutPhotos`."""
        found = _network(network)
        corrected = corrected_model(self._model, found.bases.correctives({}))
        final = self._base.with_model(corrected)(found.encoder)
        base = self._base(BaseLevel(found.encoder))
        return {**final, **{f"base_{name}": value for name, value in base.items()}}


class BaseLevel(nn.Module):
    """An encoder that answers the base level alone.

    Args:
        encoder: with corrections.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, crops_srgb: Float[Tensor, "batch 3 size size"]) -> FaceCode[Tensor]:
        """Describe the faces in crops, without corrections."""
        return self.encoder(crops_srgb).without_corrections()


def _network(module: nn.Module) -> MultilevelNetwork:
    """The network itself, where it is a replica over several devices."""
    found = getattr(module, "module", module)
    assert isinstance(found, MultilevelNetwork)
    return found


def _first(batches: PhotoBatches | SyntheticBatches, count: int) -> Iterator[CropBatch]:
    """So many photos or faces, and up to a batch more."""
    return (batches[step] for step in range(count // RESIDUAL_BATCH + 1))


def _start_from(encoder: Encoder, path: Path) -> None:
    """Read the weights of an encoder without corrections; the heads of these stay as they are."""
    plain = Encoder()
    load_weights(plain, path)
    encoder.load_state_dict(plain.state_dict(), strict=False)


def holds_corrections(path: Path) -> bool:
    """Whether weights are of this regime's network; raises as `checkpoint.read_weight_shapes`."""
    return any(name.startswith("bases.") for name in read_weight_shapes(path))


def network_of_weights(path: Path, model: FaceModel) -> MultilevelNetwork:
    """Make a network of the size of some weights; they are not read into it.

    Raises:
        AssetMissing, IncompatibleCode: see `checkpoint.read_weight_shapes`; or the weights are of another regime.
    """
    shapes = read_weight_shapes(path)
    try:
        num_geometry, num_reflectance = (shapes[f"bases.{part}"][0] for part in ("geometry", "reflectance"))
    except KeyError:
        raise IncompatibleCode(f"{path}: holds the weights of another network: it has no corrections") from None
    parts = {name.split(".")[1] for name in shapes if name.startswith("encoder.")}
    return MultilevelNetwork(model, num_geometry, num_reflectance, "second_look" in parts, "rectified" in parts)
