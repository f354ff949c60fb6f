# SPDX-License-Identifier: Apache-2.0
"""Breeding: the network teaches itself the faces of real photos (InverseFaceNet, arXiv:1703.10956, section 5.2).

    weights ─explain photos─► codes ─perturb, redraw over the photos─► bred faces ─fine-tune─► weights   a round
                 held-out photos better than before?  ─yes─► next round        ─no─► stop

Rendered faces come from a prior; the poses, expressions, skins and lights of photos are distributed otherwise. Each
round draws its corpus around what the last weights see in photos, with exact codes, so the network is never taught its
own errors. A share of every batch stays with the first corpus, whose wide poses and covered faces photos hold few of.

    RUN/breeding.json                   each round's errors on held-out photos and faces, and which was the best
    RUN/weights.safetensors             those of the best round
    RUN/round_0/weights.safetensors     those it started from
    RUN/round_1/explained.safetensors   the photos' codes          RUN/round_1/statistics.json, sheet.png
    RUN/round_1/corpus/                 the bred faces             RUN/round_1/weights.safetensors, log.jsonl, …

Every HELD_OUT_EVERYth photo is never learnt from. A run that was killed goes on in the round it was in; what a round
finished is not done again.
"""

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from facefactor.code.face_code import FaceCode
from facefactor.data.bred_faces import BredFaces, BreedingSettings
from facefactor.data.photographs import PhotoCorpus
from facefactor.data.synthetic_corpus import SyntheticBatches, SyntheticCorpus
from facefactor.encode.encoder import Encoder
from facefactor.errors import AssetMissing, FaceError
from facefactor.export.atomic import write_bytes, write_png
from facefactor.face.model import FaceModel
from facefactor.train.checkpoint import load_weights
from facefactor.train.devices import Devices
from facefactor.train.explain import Explanation, PhotoExplainer, join_explanations
from facefactor.train.held_out import HeldOutPhotos
from facefactor.train.inverse import HeldOutFaces, InverseObjective, Loss
from facefactor.train.loop import LoopSettings, train
from facefactor.train.statistics import describe_codes

HELD_OUT_EVERY = 10
FORMAT = "facefactor.breeding/1"
SHEET_ROWS, SHEET_VARIANTS = 14, 4
NUM_DESCRIBED = 1000
"""Faces of a corpus whose codes are described in the statistics."""

WriteBred = Callable[[Path, Path, BreedingSettings, int], None]
"""Writes a corpus, to the folder given first, of so many bred faces out of an explanation's file."""
Report = Callable[[str], None]
"""Takes a sentence on what is being done."""


@dataclass(frozen=True)
class BreedSettings:
    """How to breed."""

    rounds: int
    """Most rounds; fewer when held-out photos get no better."""
    num_steps: int = 3000
    """Optimiser steps of a round."""
    learning_rate: float = 3e-4
    """At its peak, in each round."""
    batch_size: int = 64
    loss: Loss = "picture"
    """See `InverseObjective`."""
    first_share: float = 0.4
    """Of a batch, from the first corpus."""
    variants: int = 3
    """Bred faces of each photo and round."""
    polish: bool = True
    """Bring explanations nearer to the photos; see `explain.py`."""
    detail_share: float = 0.75
    """Of the bred faces, that keep their photo's own detail."""
    keep_corpora: bool = True
    """Keep the rounds' bred faces after their training."""
    loader_workers: int = 1
    """Processes that read ahead."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("rounds", "num_steps", "batch_size", "variants"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.num_first < self.batch_size:
            raise ValueError(f"first_share must leave some of each kind in a batch, got {self.first_share}")
        BreedingSettings(detail_share=self.detail_share)  # refuses shares that make no sense

    @property
    def num_first(self) -> int:
        """Faces of a batch that are from the first corpus."""
        return round(self.first_share * self.batch_size)


class Breeding:
    """A run of breeding.

    Args:
        folder: of the run.
        init: weights of round 0.
        photos: real faces, with landmarks.
        first: rendered faces, with which round 0 was trained.
        held_out: rendered faces for validation.
        model: the face model.
        settings: of the run.
        write_bred: makes the rounds' corpora.
        device: where the network computes.
        report: told what is being done.
    """

    def __init__(
        self,
        folder: Path,
        init: Path,
        photos: PhotoCorpus,
        first: SyntheticCorpus,
        held_out: HeldOutFaces,
        model: FaceModel,
        settings: BreedSettings,
        write_bred: WriteBred,
        device: torch.device | str = "cpu",
        report: Report = lambda sentence: None,
    ) -> None:
        self._folder, self._init, self._photos, self._first = folder, init, photos, first
        self._model, self._settings, self._write_bred = model, settings, write_bred
        self._device, self._report = torch.device(device), report
        numbers = range(len(photos))
        self._learnt = [number for number in numbers if number % HELD_OUT_EVERY]
        if not self._learnt:
            raise AssetMissing(f"breeding needs more than one photo, the corpus holds {len(photos)}")
        self._held_out_faces = held_out
        self._held_out_photos = HeldOutPhotos(photos, numbers[::HELD_OUT_EVERY], model)

    def run(self, resume: bool = False) -> Path:
        """Breed until the rounds are over or held-out photos get no better, and return the best weights' file.

        Args:
            resume: go on where an earlier run of the same settings stopped.

        Raises:
            FaceError: the folder holds a run that is not to be resumed, or one of other settings; or see `loop.train`.
            OutputUnwritable: the folder cannot be written to.
        """
        record = self._begin(resume)
        while len(record["rounds"]) <= self._settings.rounds and not _is_worse(record["rounds"]):
            number = len(record["rounds"])
            errors = self._round(number, self._weights(number - 1))
            record["rounds"].append({"round": number, **errors})
            self._write(record)
            self._report(f"round {number}: {_sentence(errors)}")
        return self._folder / "weights.safetensors"

    def _begin(self, resume: bool) -> dict[str, Any]:
        """The record of the rounds that are done; round 0 is the weights to start from."""
        path, config = self._folder / "breeding.json", self._config()
        if path.exists():
            record = json.loads(path.read_text(encoding="utf-8"))
            if not resume:
                raise FaceError(f"{self._folder}: holds a run already; resume it, or choose another folder")
            if record["config"] != config:
                changed = sorted(name for name in config if record["config"].get(name) != config[name])
                raise FaceError(f"{self._folder}: a run is resumed as it was started; changed: {', '.join(changed)}")
            return record
        start = self._weights(0)
        if self._init.resolve() != start.resolve():  # kept, for the file given may be that of a run that goes on
            self._encoder(self._init)  # or say that these are no weights
            write_bytes(start, self._init.read_bytes())
        errors = self._measure(self._encoder(start))
        self._report(f"round 0: {_sentence(errors)}")
        record = {"format": FORMAT, "config": config, "rounds": [{"round": 0, **errors}]}
        self._write(record)
        return record

    def _config(self) -> dict[str, Any]:
        settings = dataclasses.asdict(self._settings)
        # More rounds may be asked for later; how many processes read and what is kept changes no weights.
        kept = {name: settings[name] for name in settings if name not in ("rounds", "loader_workers", "keep_corpora")}
        facts = {"init": str(self._init), "first": self._first.digest(), "photos": len(self._photos)}
        return json.loads(json.dumps({**kept, **facts, "model": self._model.model_hash}))

    def _write(self, record: dict[str, Any]) -> None:
        """Write the best round's weights, then the record that names it."""
        best = min(record["rounds"], key=_error)["round"]
        write_bytes(self._folder / "weights.safetensors", self._weights(best).read_bytes())
        content = {**record, "best_round": best}
        write_bytes(self._folder / "breeding.json", (json.dumps(content, indent=1) + "\n").encode())

    def _round(self, number: int, weights: Path) -> dict[str, float]:
        """One round, from the last weights to the errors of the new ones."""
        folder = self._folder / f"round_{number}"
        breeding = BreedingSettings(seed=self._settings.seed + 1000 * number, detail_share=self._settings.detail_share)
        good, dropped = self._explain(folder / "explained.safetensors", weights, number)
        if not (folder / "weights.safetensors").exists():
            count = self._settings.variants * len(good)
            self._report(f"round {number}: draws {count} bred faces")
            self._write_bred(folder / "corpus", folder / "explained.safetensors", breeding, count)
            bred = SyntheticCorpus(folder / "corpus")
            self._describe(folder, good, dropped, bred, breeding)
            self._fine_tune(folder, weights, bred)
        if not self._settings.keep_corpora:
            shutil.rmtree(folder / "corpus", ignore_errors=True)
        return self._measure(self._encoder(folder / "weights.safetensors"))

    def _explain(self, path: Path, weights: Path, number: int) -> tuple[Explanation, int]:
        """Explain the photos to learn from, or read what was explained; well explained ones, and how many are not."""
        if not path.exists():
            self._report(f"round {number}: explains {len(self._learnt)} photos")
            explainer = PhotoExplainer(self._model, self._settings.polish)
            everything = join_explanations(list(explainer.explain(self._encoder(weights), self._photos, self._learnt)))
            everything.take(everything.is_good()).write(path)
        good = Explanation.read(path)
        return good, len(self._learnt) - len(good)

    def _fine_tune(self, folder: Path, weights: Path, bred: SyntheticCorpus) -> None:
        settings = self._settings
        loop = LoopSettings(
            num_steps=settings.num_steps,
            learning_rate=settings.learning_rate,
            warmup_steps=min(300, settings.num_steps // 10),
            seed=settings.seed,
        )
        sources = ((bred, settings.batch_size - settings.num_first), (self._first, settings.num_first))
        batches = SyntheticBatches(sources, settings.seed)
        train(
            self._encoder(weights).train(),
            lambda first: batches.from_step(first, settings.loader_workers),
            InverseObjective(self._model, settings.loss),
            loop,
            folder,
            config={"regime": "breeding", **self._config()},
            data_hash=bred.digest(),
            validate=self._measure,
            devices=Devices(self._device),
            resume=True,
        )

    def _measure(self, encoder: nn.Module) -> dict[str, float]:
        """Errors on held-out photos, the first of which decides, and on held-out faces."""
        return {**self._held_out_photos(encoder), **self._held_out_faces(encoder)}

    def _describe(
        self, folder: Path, good: Explanation, dropped: int, bred: SyntheticCorpus, breeding: BreedingSettings
    ) -> None:
        """Write the round's statistics and sheet."""
        statistics = {
            "photos": len(good),
            "photos_dropped": dropped,
            "bred_faces": len(bred),
            "explained_landmark_percent_median": float(np.median(good.landmark_percent)),
            "explained_photometric_median": float(np.median(good.photometric)),
            "answered": describe_codes(good.answered),
            "explained": describe_codes(good.explained),
            "bred": describe_codes(_some_codes(bred)),
            "first": describe_codes(_some_codes(self._first)),
        }
        write_bytes(folder / "statistics.json", (json.dumps(statistics, indent=1) + "\n").encode())
        shown = good.take(np.linspace(0, len(good) - 1, min(SHEET_ROWS, len(good))).astype(int))
        maker = BredFaces(self._photos, shown.numbers.tolist(), shown.explained, breeding, self._model)
        write_png(folder / "sheet.png", draw_sheet(maker, self._photos, shown))

    def _weights(self, number: int) -> Path:
        return self._folder / f"round_{number}" / "weights.safetensors"

    def _encoder(self, weights: Path) -> Encoder:
        encoder = Encoder()
        load_weights(encoder, weights)
        return encoder.to(self._device).eval()


def draw_sheet(maker: BredFaces, photos: PhotoCorpus, shown: Explanation) -> np.ndarray:
    """Rows of photo, explanation drawn over it, and bred variants: (H, W, 3) uint8."""
    count = len(shown)
    columns = [[photos[int(number)].crop_srgb for number in shown.numbers]]
    columns.append([face.picture_srgb for face in maker.draw_seen(range(count))])
    for variant in range(SHEET_VARIANTS):
        first = variant * count
        columns.append([face.picture_srgb for face in maker.make(range(first, first + count))])
    return np.concatenate([np.concatenate(column) for column in columns], axis=1)


def _some_codes(corpus: SyntheticCorpus) -> FaceCode[np.ndarray]:
    """Codes of up to NUM_DESCRIBED faces, evenly over a corpus."""
    places = np.linspace(0, len(corpus) - 1, min(NUM_DESCRIBED, len(corpus))).astype(int)
    return FaceCode.unpack(np.stack([corpus[int(place)].code.pack() for place in places]))


def _is_worse(rounds: Sequence[Mapping[str, float]]) -> bool:
    """Whether the last round is no better than the best before it."""
    return len(rounds) > 1 and _error(rounds[-1]) >= min(map(_error, rounds[:-1]))


def _error(measured: Mapping[str, float]) -> float:
    """What decides between rounds."""
    return measured["photo_landmark_percent"]


def _sentence(errors: Mapping[str, float]) -> str:
    return (
        f"landmarks {errors['photo_landmark_percent']:.2f} % on held-out photos, {errors['landmark_percent']:.2f} % on "
        f"held-out faces, whose rotation is off by {errors['rotation_deg']:.1f}°"
    )
