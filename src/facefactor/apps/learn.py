# SPDX-License-Identifier: Apache-2.0
"""The command `facefactor model learn`: people's own photos in, a face model that knows such faces out.

    photos ─prepare─► corpus ─train multilevel, from mofa's weights─► run ─export─► FILE, for `reconstruct --model FILE`

Each step is a command of its own as well; this one runs them in a folder beside FILE, and goes on there where it was
stopped.
"""

import argparse
import sys

from facefactor.apps.import_weights import import_weights
from facefactor.apps.parallel import count_cores
from facefactor.apps.prepare import Settings, prepare
from facefactor.data.photographs import PhotoCorpus
from facefactor.errors import AssetMissing
from facefactor.export.atomic import require_writable
from facefactor.face.correctives import corrected_model, save_correctives
from facefactor.face.model import load_face_model
from facefactor.infer.export import with_encoder
from facefactor.train.devices import launched_devices
from facefactor.train.loop import LoopSettings
from facefactor.train.mofa import MofaSettings
from facefactor.train.multilevel import MultilevelNetwork, MultilevelSettings, train_multilevel

START = "mofa"
"""The shipped weights that the encoder starts from."""
WORK_SUFFIX = ".work"


def run(options: argparse.Namespace) -> int:
    """Learn from the photos of the command line, and name the file.

    Raises:
        AssetMissing: a source does not exist, or fewer than two photos show a face.
        FaceError: the folder beside the file holds other photos or settings.
        OutputUnwritable: nothing can be written there.
        MissingExtra: onnx is not installed.
    """
    model, work = load_face_model(), options.out.with_name(options.out.name + WORK_SUFFIX)
    require_writable(work)
    record = prepare(options.photos, work / "corpus", Settings(), options.jobs or count_cores())
    _say(f"{record.samples} faces of {record.progress['photos']} photos")
    if record.samples < 2:
        raise AssetMissing(f"learning needs two faces or more, the photos show {record.samples}")
    start = work / "start.safetensors"
    if not start.is_file():
        import_weights(START, start)
    settings = MultilevelSettings(
        MofaSettings(batch_size=min(options.batch_size, record.samples)), options.geometry, options.reflectance
    )
    loop = LoopSettings(num_steps=options.steps, learning_rate=options.learning_rate, seed=options.seed)
    with launched_devices() as devices:
        _say(f"{options.steps} steps of {settings.mofa.batch_size}: {work / 'run' / 'log.jsonl'} says how they go")
        network = train_multilevel(
            PhotoCorpus(work / "corpus"),
            None,
            model,
            work / "run",
            settings,
            loop,
            init=start,
            devices=devices,
            resume=True,
        )
        if devices.is_first:
            assert isinstance(network, MultilevelNetwork)
            encoder, correctives = network.learned_model({"step": str(options.steps)})
            save_correctives(with_encoder(correctives, encoder, corrected_model(model, correctives)), options.out)
            print(options.out)
    return 0


def _say(sentence: str) -> None:
    print(f"facefactor model learn: {sentence}", file=sys.stderr, flush=True)
