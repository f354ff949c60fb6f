# SPDX-License-Identifier: Apache-2.0
"""Take out of an encoder the channels that hardly ever fire, and then far beyond anything that training saw.

    python tools/prune_rare_channels.py RUN --corpus photos --out PRUNED

Batch normalisation enlarges a channel that is nearly always zero by up to 1/√eps, 316 times. On the rare face where it
fires, its answer is hundreds of standard deviations from the mean and throws the whole code off, such as a head
kilometres away. Layer by layer, channels of depthwise convolutions that fire at more than LIMIT standard deviations on
some photo are set to their offset alone; for all other faces that changes next to nothing.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor, nn

from facefactor.code.face_code import NOMINAL_DISTANCE_MM
from facefactor.data.photographs import PhotoCorpus, exact_batch
from facefactor.encode.backbone import InvertedBottleneck
from facefactor.encode.encoder import Encoder
from facefactor.evaluate.encoders import answer_in_batches
from facefactor.train.checkpoint import load_weights, save_weights

LIMIT = 40.0
"""Standard deviations."""
OUTLIER_MM = 400.0
"""A head is thrown off whose distance differs from the nominal one by more; crops fix it to some 150 mm."""
BATCH_SIZE = 64


@torch.no_grad()
def find_thrown_off(encoder: Encoder, crops_srgb: Tensor) -> Tensor:
    """Which crops get heads that cannot be: (N,) bool."""
    distance_mm = -answer_in_batches(encoder, crops_srgb).translation[:, 2]
    return (distance_mm - NOMINAL_DISTANCE_MM).abs() > OUTLIER_MM


@torch.no_grad()
def prune(encoder: Encoder, crops_srgb: Tensor) -> int:
    """Take out rare channels in place, front to back, and return how many."""
    count = 0
    for block in encoder.modules():
        if not isinstance(block, InvertedBottleneck):
            continue
        for convolution, normalisation in (layers[:2] for layers in block.layers):
            if convolution.groups == 1:
                continue
            rare = _peaks(encoder, normalisation, crops_srgb) > LIMIT
            normalisation.weight[rare] = 0.0
            count += int(rare.sum())
    return count


def _peaks(encoder: Encoder, normalisation: nn.Module, crops_srgb: Tensor) -> Tensor:
    """The largest standardised answer of each channel, (C,)."""
    peaks = []

    def note(module: nn.BatchNorm2d, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        spread = (module.running_var + module.eps).sqrt()
        centred = (inputs[0] - module.running_mean[:, None, None]).abs().amax(dim=(0, 2, 3))
        peaks.append(centred / spread)

    hook = normalisation.register_forward_hook(note)
    answer_in_batches(encoder, crops_srgb)
    hook.remove()
    return torch.stack(peaks).amax(dim=0)


def main() -> None:
    parser = argparse.ArgumentParser(description="Prune channels that hardly ever fire.")
    parser.add_argument("run", type=Path, help="a training run's folder")
    parser.add_argument("--corpus", type=Path, required=True, help="photos, of `facefactor prepare`")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pruned weights")
    options = parser.parse_args()
    encoder = Encoder()
    facts = load_weights(encoder, options.run / "weights.safetensors")
    encoder.eval()
    photos = PhotoCorpus(options.corpus)
    crops = torch.cat([
        exact_batch([photos[number] for number in range(first, min(first + BATCH_SIZE, len(photos)))]).crops_srgb
        for first in range(0, len(photos), BATCH_SIZE)
    ])  # fmt: skip
    is_off = find_thrown_off(encoder, crops)
    shown = torch.cat((crops[is_off], crops[~is_off][:: max(1, len(crops) // 250)]))
    pruned = prune(encoder, shown)
    print(f"{pruned} channels pruned; thrown off before: {int(is_off.sum())} of {len(crops)}, after: ", end="")
    print(int(find_thrown_off(encoder, crops).sum()))
    save_weights(encoder, options.out / "weights.safetensors", {**facts, "pruned_channels": str(pruned)})


if __name__ == "__main__":
    main()
