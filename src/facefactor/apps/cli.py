# SPDX-License-Identifier: Apache-2.0
"""The `facefactor` command: its arguments, its exit codes, and one plain line for whatever goes wrong.

Only argparse is imported here; each command names its handler as "module:function", which is imported when it is run,
so that `--help` answers at once and a command needs only what it uses. A handler takes the parsed arguments and
returns the exit code.
"""

import argparse
import importlib
import io
import logging
import math
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import facefactor
from facefactor.errors import FaceError, MissingExtra, OutputUnwritable, PhotoError

ENGINES = ("multilevel", "mofa", "inverse", "inverse-round0", "fit")
DEFAULT_ENGINE = "multilevel"
HEAD_SUFFIXES = (".glb", ".obj", ".ply", ".usdz", ".usda")
TEXTURE_SIZES_PX = (64, 4096)
EXIT_PHOTO_FAILED = 1
EXIT_WRONG_USE = 2
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

_EPILOG = """\
exit codes:
  0    all good
  1    a photo failed; each has one line on stderr, and the other photos are done
  2    wrong use, a missing install or file, or an output that cannot be written
  130  stopped with Ctrl-C

FACEFACTOR_DEBUG=1 in the environment shows where an error came from.
"""

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""What argparse returns for a place where commands can be added."""

_EXTRA_OF_MODULE = {
    "torch": "train",
    "jaxtyping": "train",
    "mediapipe": "prepare",
    "anny": "build",
    "onnx": "export",
    "viser": "view",
    "av": "video",
    "pyarrow": "video",
}
"""The facefactor extra that installs each optional module."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a FaceError becomes one line on stderr.

    Args:
        arguments: the words after `facefactor`; None reads them from the command line.
    """
    _make_output_utf8()
    try:
        try:
            options = parse_arguments(arguments)
        finally:
            _flush_output()  # of help that was asked for
        exit_code = _run_command(options)
        _flush_output()
        return exit_code
    except FaceError as error:
        return _report(error)
    except KeyboardInterrupt:
        print("facefactor: stopped", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _discard_output()
        return EXIT_BROKEN_PIPE
    except OSError as error:
        if not _output_fails():
            raise
        _discard_output()
        return _report(OutputUnwritable(f"standard output: cannot be written: {error.strerror or error}"))


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the parsed command line; wrong use ends the program with exit code 2 (argparse's way)."""
    return build_parser().parse_args(arguments, argparse.Namespace(verbose=False))


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands; each sets `handler` to "module:function"."""
    verbosity = argparse.ArgumentParser(add_help=False)
    verbosity.add_argument(
        "-v", "--verbose", action="store_true", default=argparse.SUPPRESS, help="say on stderr what is being done"
    )
    parser = argparse.ArgumentParser(
        prog="facefactor",
        description="Factor a face photo into pose, shape, expression, skin reflectance and light.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[verbosity],
    )
    parser.add_argument("--version", action="version", version=f"facefactor {facefactor.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add_command in (
        _add_reconstruct,
        _add_relight,
        _add_edit,
        _add_export,
        _add_view,
        _add_video,
        _add_prepare,
        _add_synthesize,
        _add_train,
        _add_model,
        _add_evaluate,
        _add_export_weights,
        _add_import_weights,
        _add_bench,
    ):
        add_command(commands, verbosity)
    return parser


def _add_reconstruct(commands: Commands, verbosity: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "reconstruct",
        parents=[verbosity],
        help="turn photos into 3D heads",
        description="For face k of p.jpg, write DIR/p/k.json, DIR/p/k.glb and DIR/p/k.png. When several photos of a "
        "run are called p, the first is in DIR/p, the others in DIR/p-2, DIR/p-3, ….",
    )
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="image files")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write to; made if needed")
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default=DEFAULT_ENGINE,
        help="multilevel: look once, by a network and corrections of the face model that learnt from photos together; "
        "mofa: by a network alone that learnt from photos; inverse: by one trained on rendered faces and bred toward "
        "photos; inverse-round0: by one that has never seen a photo; fit: search for the face that renders as the "
        f"photo, which needs torch (default: {DEFAULT_ENGINE})",
    )
    parser.add_argument(
        "--model",
        type=Path,
        metavar="FILE",
        help="answer with a face model and encoder that `train multilevel` learnt, in place of --engine",
    )
    parser.add_argument(
        "--faces", choices=["largest", "all"], default="largest", help="which faces of a photo (default: largest)"
    )
    parser.add_argument(
        "--refine", action="store_true", help="search on from the engine's answer by a short fit; needs torch"
    )
    parser.add_argument("--json", action="store_true", help="print one line of JSON per face on stdout")
    parser.set_defaults(handler="facefactor.apps.reconstruct:run")


def _add_relight(commands: Commands, verbosity: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "relight",
        parents=[verbosity],
        help="put a photo's face under another light",
        description="Multiply the photo by the ratio of new to old shading: its detail, hair and background stay.",
    )
    parser.add_argument("photo", type=Path, metavar="PHOTO", help="an image file")
    _add_light_options(parser, required=True)
    parser.add_argument("--out", required=True, type=Path, metavar="PICTURE.png", help="file to write")
    parser.add_argument(
        "--faces", choices=["largest", "all"], default="largest", help="which faces to relight (default: largest)"
    )
    parser.add_argument("--engine", choices=ENGINES, default=DEFAULT_ENGINE, help=f"default: {DEFAULT_ENGINE}")
    _add_model_option(parser, "learned face model to answer with, in place of --engine")
    parser.set_defaults(handler="facefactor.apps.edit:run_relight")


def _add_edit(commands: Commands, verbosity: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "edit",
        parents=[verbosity],
        help="change a face and put it back into its photo",
        description="Change expression, shape, skin or light of a face that `reconstruct` wrote. What is written "
        "follows the ending: .png the photo with the changed face, .json its numbers, .glb and the other endings of "
        "`export` its head.",
    )
    parser.add_argument("face", type=Path, metavar="FACE.json", help="of `reconstruct`")
    parser.add_argument(
        "--photo",
        type=Path,
        metavar="PHOTO",
        help="that the face is from (default: its name, beside FACE.json or above)",
    )
    parser.add_argument(
        "--expression",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=WEIGHT",
        help="such as mouthSmileLeft=0.8 jawOpen=0.2; may repeat",
    )
    parser.add_argument(
        "--shape",
        nargs="+",
        action="extend",
        default=[],
        metavar="K=VALUE",
        help="coefficients 0 to 79, in standard deviations; may repeat",
    )
    parser.add_argument("--shape-from", type=Path, metavar="OTHER.json", help="take the shape of another face")
    parser.add_argument("--reflectance-from", type=Path, metavar="OTHER.json", help="take the skin of another face")
    _add_light_options(parser, required=False)
    parser.add_argument(
        "--out", required=True, action="append", type=Path, metavar="FILE", help=".png, .json, or a head's; may repeat"
    )
    _add_model_option(parser, "learned face model that the faces were answered with")
    parser.set_defaults(handler="facefactor.apps.edit:run_edit")


def _add_model_option(parser: argparse.ArgumentParser, help_text: str) -> None:
    parser.add_argument("--model", type=Path, metavar="FILE", help=help_text)


def _add_light_options(parser: argparse.ArgumentParser, required: bool) -> None:
    parser.add_argument(
        "--light",
        required=required,
        metavar="LIGHT",
        help="ambient, studio, front, left, right, top or sunset; AZIMUTH,ELEVATION of a lamp in degrees, 0,0 at the "
        "camera, to image right and up; or an .hdr or .exr panorama",
    )
    parser.add_argument(
        "--turn", type=_turn_deg, default=0.0, metavar="DEG", help="turn the light to image right (default: 0)"
    )
    parser.add_argument(
        "--as-strong-as-it-is",
        action="store_true",
        help="take the light's own strength and white, where an albedo of one gives 1 (default: the photo's)",
    )


def _add_export(commands: Commands, verbosity: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "export",
        parents=[verbosity],
        help="write a reconstructed head as GLB, OBJ, PLY or USD",
        description="From the numbers that `reconstruct` wrote, with the photo's own detail in the texture. OBJ gets "
        "its material and texture as NAME.mtl and NAME_albedo.png, .usda its texture; GLB and USD hold 52 morph "
        "targets with ARKit names, in metres, OBJ and PLY the face's own expression, in millimetres. docs/export.md "
        "tells how programs read them.",
    )
    parser.add_argument("face", type=Path, metavar="FACE.json", help="of `reconstruct`")
    parser.add_argument(
        "--out",
        required=True,
        action="append",
        type=_head_file,
        metavar="FILE",
        help="ending in .glb, .obj, .ply, .usdz or .usda, the last two with the extra `usd`; may repeat",
    )
    parser.add_argument(
        "--photo",
        type=Path,
        metavar="PHOTO",
        help="that shows the face (default: the one that FACE.json names, in its folder or one of the two above)",
    )
    parser.add_argument(
        "--texture",
        type=_texture_size,
        default=1024,
        metavar="PX",
        help="width and height of the texture, 64 to 4096 (default: 1024)",
    )
    _add_model_option(parser, "learned face model that FACE.json was answered with")
    parser.set_defaults(handler="facefactor.apps.export:run")


def _add_view(commands: Commands, verbosity: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "view",
        parents=[verbosity],
        help="look at a face in the browser, change and save it",
        description="Serve a page, to this machine alone, with the 3D head, sliders for expression, shape, reflectance "
        "and light, and buttons that open another photo and save GLB, JSON or PNG. Ctrl-C ends it.",
    )
    parser.add_argument(
        "path",
        nargs="?",
        type=Path,
        metavar="PHOTO | FACE.json | DIR",
        help="a photo, a face that `reconstruct` wrote, or a folder of either (default: the mean face)",
    )
    parser.add_argument("--port", type=_port, default=8080, metavar="N", help="0 for any free one (default: 8080)")
    parser.add_argument("--no-browser", dest="browser", action="store_false", help="only print the page's address")
    parser.set_defaults(handler="facefactor.apps.view:run")


def _add_video(commands: Commands, verbosity: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "video",
        parents=[verbosity],
        help="turn a video into moving 3D heads",
        description="Follow the faces of a video. Write DIR/codes.parquet, for person N from 0 DIR/person-N.csv (as "
        "Live Link Face records it) and DIR/person-N.glb (the head with its motion), DIR/overlay.mp4 and "
        "DIR/report.json. Needs the extra `video`.",
    )
    parser.add_argument("video", type=Path, metavar="VIDEO", help="a video file")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write to; made if needed")
    parser.add_argument(
        "--engine",
        choices=[engine for engine in ENGINES if engine != "fit"],
        default=DEFAULT_ENGINE,
        help=f"see `reconstruct` (default: {DEFAULT_ENGINE})",
    )
    parser.add_argument("--json", action="store_true", help="print the report as one line of JSON")
    parser.set_defaults(handler="facefactor.apps.video:run")


def _add_prepare(commands: Commands, verbosity: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "prepare",
        parents=[verbosity],
        help="turn photos into a corpus to train on",
        description="Find the faces of all photos, and write their crops and landmarks as shards, with counts of what "
        "was left out and why. A run that was stopped goes on where it was when the same command is given again. Exit "
        "code 1 when no photo could be used.",
    )
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTOS", help="image files, and folders to search")
    parser.add_argument("--out", required=True, type=Path, metavar="CORPUS", help="folder to write to; made if needed")
    parser.add_argument("--jobs", type=_positive_int, metavar="N", help="processes to work in (default: one a core)")
    parser.add_argument(
        "--faces", choices=["largest", "all"], default="largest", help="which faces of a photo (default: largest)"
    )
    parser.add_argument(
        "--min-face", type=_positive_int, default=48, metavar="PX", help="size of the smallest face kept (default: 48)"
    )
    parser.add_argument(
        "--landmarks",
        choices=["network", "mediapipe"],
        default="network",
        help="what finds them; mediapipe is the network's teacher, to train it anew (default: network)",
    )
    parser.set_defaults(handler="facefactor.apps.prepare:run")


def _add_synthesize(commands: Commands, verbosity: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "synthesize",
        parents=[verbosity],
        help="render faces with exact codes as a corpus to train on",
        description="Render random faces and write them as shards, each with its exact face code, landmarks and their "
        "visibility. Seed and number make a face, whatever the number of jobs. A run that was stopped goes on where it "
        "was when the same command is given again.",
    )
    parser.add_argument("--count", required=True, type=_positive_int, metavar="N", help="faces to render")
    parser.add_argument("--out", required=True, type=Path, metavar="CORPUS", help="folder to write to; made if needed")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the random faces (default: 0)")
    parser.add_argument(
        "--backgrounds", type=Path, metavar="FOLDER", help="photos to put behind the faces (default: made-up pictures)"
    )
    parser.add_argument("--environment", type=Path, metavar="FOLDER", help=".hdr panoramas to light some faces with")
    parser.add_argument("--sheet", type=Path, metavar="PICTURE.png", help="draw 48 of the faces on a contact sheet")
    parser.add_argument("--jobs", type=_positive_int, default=1, metavar="N", help="processes to work in (default: 1)")
    parser.set_defaults(handler="facefactor.apps.synthesize:run")


def _add_train(commands: Commands, verbosity: argparse.ArgumentParser) -> None:
    parser = commands.add_parser("train", parents=[verbosity], help="train the network that answers from one look")
    regimes = parser.add_subparsers(title="regimes", metavar="REGIME", required=True)
    inverse = regimes.add_parser(
        "inverse",
        parents=[verbosity],
        help="learn from rendered faces (InverseFaceNet, round 0)",
        description="Faces are rendered while the network learns, or read from corpora. RUN gets weights.safetensors, "
        "log.jsonl, run.json and checkpoints. On several devices: torchrun --nproc-per-node N -m facefactor.apps.cli "
        "train inverse ….",
    )
    _add_run_options(inverse)
    inverse.add_argument(
        "--corpus",
        action="append",
        default=[],
        type=Path,
        metavar="CORPUS",
        help="learn from a corpus that `synthesize` wrote; may repeat",
    )
    inverse.add_argument(
        "--loss",
        choices=["picture", "model-space", "parameters"],
        default="picture",
        help="picture (default): the model-space loss, where the landmarks fall and the skin's colours; "
        "model-space: that alone; parameters: plain l2",
    )
    inverse.add_argument("--backgrounds", type=Path, metavar="FOLDER", help="photos to put behind the faces")
    inverse.add_argument("--subdivided", action="store_true", help="draw the refined mesh, at twice the time")
    inverse.add_argument(
        "--render-threads", type=_positive_int, default=1, metavar="N", help="batches made at the same time; default: 1"
    )
    inverse.add_argument(
        "--loader-workers", type=_count, default=1, metavar="N", help="processes that read --corpus ahead; default: 1"
    )
    _add_breeding_options(inverse)
    inverse.set_defaults(handler="facefactor.apps.train:run_inverse")

    mofa = regimes.add_parser(
        "mofa",
        parents=[verbosity],
        help="learn from photos that nobody labelled (MoFA)",
        description="Learn to give codes whose faces look like the photos, from corpora of `prepare`; best from "
        "`inverse` weights (`import-weights inverse`). RUN gets the same files as with `train inverse`.",
    )
    _add_photo_options(mofa)
    mofa.set_defaults(handler="facefactor.apps.train:run_mofa")

    multilevel = regimes.add_parser(
        "multilevel",
        parents=[verbosity],
        help="learn from photos what the face model itself lacks (multi-level)",
        description="Learn corrections of the face model's geometry and albedo together with the encoder, from corpora "
        "of `prepare`; from `mofa` weights (`import-weights mofa`). RUN gets the same files as with `train inverse`.",
    )
    _add_photo_options(multilevel)
    _add_correction_options(multilevel)
    multilevel.add_argument(
        "--without",
        action="append",
        default=[],
        choices=["smoothness", "sparsity", "constancy", "stabilisation", "second-look"],
        help="leave out a regulariser, or the look at what the base level does not explain; may repeat",
    )
    multilevel.add_argument(
        "--rectified",
        action="store_true",
        help="non-linear corrections: sizes, even numbers, are of a hidden layer that half as many numbers make",
    )
    multilevel.add_argument(
        "--restart-geometry",
        action="store_true",
        help="from --init that has corrections: let those of geometry start anew, from what is wrong on --faces",
    )
    multilevel.set_defaults(handler="facefactor.apps.train:run_multilevel")

    landmarks = regimes.add_parser(
        "landmarks",
        parents=[verbosity],
        help="learn to find the landmarks that all engines start from",
        description="Learn from rendered faces, whose points are exact, and from the points that a teacher found on "
        "photos. RUN gets the same files as with `train inverse`; `export-weights RUN` makes landmarks.onnx of it.",
    )
    _add_run_options(landmarks)
    landmarks.add_argument(
        "--faces", action="append", required=True, type=Path, metavar="CORPUS", help="of `synthesize`; may repeat"
    )
    landmarks.add_argument(
        "--photos",
        action="append",
        default=[],
        type=Path,
        metavar="CORPUS",
        help="of `prepare`; may repeat (default: rendered faces only)",
    )
    landmarks.add_argument(
        "--loader-workers", type=_count, default=1, metavar="N", help="processes that read ahead; default: 1"
    )
    landmarks.set_defaults(handler="facefactor.apps.train:run_landmarks")


def _add_correction_options(parser: argparse.ArgumentParser) -> None:
    for part, size in (("geometry", 64), ("reflectance", 256)):
        parser.add_argument(
            f"--{part}", type=_positive_int, default=size, metavar="N", help=f"corrections of {part}; default: {size}"
        )


def _add_photo_options(regime: argparse.ArgumentParser) -> None:
    """What the regimes that learn from photos have in common."""
    _add_run_options(regime)
    regime.add_argument(
        "--corpus", action="append", required=True, type=Path, metavar="CORPUS", help="of `prepare`; may repeat"
    )
    regime.add_argument(
        "--faces",
        action="append",
        default=[],
        type=Path,
        metavar="CORPUS",
        help="of `synthesize`: a third as many rendered faces in each step, to hold skin and light apart; may repeat",
    )
    regime.add_argument(
        "--persons",
        action="append",
        default=[],
        type=Path,
        metavar="CORPUS",
        help="of `prepare`: photos named PERSON_…, such as frames of videos; each step explains some pairs of one "
        "person by each other's shape and skin; may repeat",
    )
    regime.add_argument(
        "--landmarks",
        type=float,
        default=20.0,
        metavar="X",
        help="weight of the photos' landmarks, 0 for none; default: 20",
    )
    regime.add_argument(
        "--loader-workers", type=_count, default=1, metavar="N", help="processes that read ahead; default: 1"
    )


def _add_breeding_options(inverse: argparse.ArgumentParser) -> None:
    group = inverse.add_argument_group(
        "breeding",
        "From round 0, which --init gives or which is trained first: explain the photos, change the codes a little, "
        "draw them over the photos, fine-tune, and again until every tenth photo, kept for this, gets no better.",
    )
    group.add_argument("--breed", type=_positive_int, metavar="ROUNDS", help="breed for as many rounds at most")
    group.add_argument("--photos", type=Path, metavar="CORPUS", help="real faces, of `prepare`")
    group.add_argument("--round-steps", type=_positive_int, default=3000, metavar="N", help="default: 3000")
    group.add_argument("--round-learning-rate", type=float, default=3e-4, metavar="X", help="default: 0.0003")
    group.add_argument(
        "--variants", type=_positive_int, default=3, metavar="N", help="bred faces of each photo and round; default: 3"
    )
    group.add_argument(
        "--first-share", type=float, default=0.4, metavar="X", help="of each batch, from --corpus; default: 0.4"
    )
    group.add_argument(
        "--no-polish", action="store_true", help="breed from the network's answers, without the photos' landmarks"
    )
    group.add_argument(
        "--detail-share",
        type=float,
        default=0.75,
        metavar="X",
        help="of the bred faces, that keep their photo's beard, glasses and wrinkles; default: 0.75",
    )
    group.add_argument("--delete-bred", action="store_true", help="delete each round's bred faces after its training")
    group.add_argument(
        "--jobs", type=_positive_int, default=1, metavar="N", help="processes that draw bred faces; default: 1"
    )


def _add_run_options(regime: argparse.ArgumentParser) -> None:
    """Add the options that all regimes share."""
    regime.add_argument("--out", required=True, type=Path, metavar="RUN", help="folder of the run; made if needed")
    regime.add_argument("--steps", type=_positive_int, default=20_000, metavar="N", help="default: 20000")
    regime.add_argument("--batch-size", type=_positive_int, default=64, metavar="N", help="faces per step; default: 64")
    regime.add_argument("--learning-rate", type=float, default=1e-3, metavar="X", help="at its peak; default: 0.001")
    regime.add_argument("--seed", type=int, default=0, metavar="N", help="of the faces and the network; default: 0")
    regime.add_argument("--init", type=Path, metavar="WEIGHTS", help="weights to start from")
    regime.add_argument("--resume", action="store_true", help="go on from the run's last checkpoint")


def _add_model(commands: Commands, verbosity: argparse.ArgumentParser) -> None:
    parser = commands.add_parser("model", parents=[verbosity], help="look at, sample or build the face model")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    info = actions.add_parser("info", parents=[verbosity], help="print sizes, hash and sources of the shipped model")
    info.add_argument("--json", action="store_true", help="print JSON")
    info.set_defaults(handler="facefactor.apps.model:run_info")

    sample = actions.add_parser("sample", parents=[verbosity], help="draw a sheet of random heads")
    sample.add_argument("--count", type=_positive_int, default=12, metavar="N", help="heads on the sheet (default: 12)")
    sample.add_argument("--seed", type=int, default=0, metavar="N", help="of the random heads (default: 0)")
    sample.add_argument("--expressions", action="store_true", help="draw the 52 expressions at weight 1 instead")
    sample.add_argument("--out", required=True, type=Path, metavar="PICTURE.png", help="picture to write")
    sample.set_defaults(handler="facefactor.apps.model:run_sample")

    learn = actions.add_parser(
        "learn",
        parents=[verbosity],
        help="learn from photos what the face model lacks",
        description="From photos of some kind of faces, such as children or a film's cast, learn corrections of the "
        "face model and an encoder that answers them, for `reconstruct --model FILE`. Works in FILE.work, and goes on "
        "there when it is stopped and started again.",
    )
    learn.add_argument("photos", nargs="+", type=Path, metavar="PHOTOS", help="image files, and folders to search")
    learn.add_argument("--out", required=True, type=Path, metavar="FILE", help="safetensors file to write")
    learn.add_argument("--jobs", type=_positive_int, metavar="N", help="processes that prepare photos (default: cores)")
    learn.add_argument("--steps", type=_positive_int, default=2000, metavar="N", help="of training; default: 2000")
    learn.add_argument("--batch-size", type=_positive_int, default=48, metavar="N", help="photos a step; default: 48")
    learn.add_argument("--learning-rate", type=float, default=4e-4, metavar="X", help="at its peak; default: 0.0004")
    learn.add_argument("--seed", type=int, default=0, metavar="N", help="of order and jitter; default: 0")
    _add_correction_options(learn)
    learn.set_defaults(handler="facefactor.apps.learn:run")

    build = actions.add_parser("build", parents=[verbosity], help="build the model file from its free sources")
    build.add_argument("--data", required=True, type=Path, metavar="DIR", help="folder that holds ict/ and skins/")
    build.add_argument("--out", required=True, type=Path, metavar="FILE.safetensors", help="model file to write")
    build.add_argument("--anny-only", action="store_true", help="leave the scan-based identity modes out")
    build.set_defaults(handler="facefactor.apps.model:run_build")

    fit_scans = actions.add_parser("fit-scans", parents=[verbosity], help="measure the shape space on real scans")
    fit_scans.add_argument(
        "--data", required=True, type=Path, metavar="DIR", help="folder that holds scans/ and heads/"
    )
    fit_scans.add_argument(
        "--out", required=True, type=Path, metavar="REPORT", help="folder for the report and pictures"
    )
    fit_scans.add_argument(
        "--model", action="append", default=[], type=Path, metavar="FILE", help="another model to compare; may repeat"
    )
    fit_scans.set_defaults(handler="facefactor.apps.model:run_fit_scans")


def _add_evaluate(commands: Commands, verbosity: argparse.ArgumentParser) -> None:
    parser = commands.add_parser("evaluate", parents=[verbosity], help="measure the engines on a test suite")
    parser.add_argument(
        "suite",
        choices=[
            "portraits",
            "landmarks",
            "encoders",
            "geometry",
            "known-light",
            "skin-tones",
            "identities",
            "closures",
        ],
        metavar="SUITE",
        help="portraits: any folder of photos; landmarks: the same, NAME.mat of AFLW2000-3D beside NAME.jpg or not; "
        "encoders: a corpus of `prepare`, and rendered faces; geometry: scans/rendered, real_scans and heads, with "
        "their scans; known-light: named as Extended Yale B; skin-tones: as "
        "UTKFace; identities: PERSON_…; closures: photos that --labels tells of",
    )
    parser.add_argument(
        "--data", "--photos", required=True, type=Path, metavar="DIR", help="the suite's photos and truth, or corpus"
    )
    parser.add_argument(
        "--run",
        action="append",
        default=[],
        metavar="NAME=WEIGHTS",
        help="of encoders: a run or its weights, called NAME in the report; may repeat",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="REPORT", help="folder for the report")
    parser.add_argument(
        "--engine", choices=ENGINES, default=DEFAULT_ENGINE, help=f"that is measured (default: {DEFAULT_ENGINE})"
    )
    parser.add_argument("--refine", action="store_true", help="search on from the engine's answers")
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="of closures: which eyes and mouths are closed (default: our own)",
    )
    parser.add_argument(
        "--graphs", type=Path, metavar="DIR", help="measure the network exported there (default: the shipped one)"
    )
    parser.add_argument(
        "--model", type=Path, metavar="FILE", help="measure a learned face model and its encoder, in place of --engine"
    )
    parser.set_defaults(handler="facefactor.apps.evaluate:run")


def _add_export_weights(commands: Commands, verbosity: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "export-weights",
        parents=[verbosity],
        help="make a training run's weights ready for use",
        description="Write DIR/encoder.onnx and DIR/decoder.onnx, or DIR/landmarks.onnx, which need no torch.",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="folder of a training run")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder to write to; made if needed")
    parser.add_argument("--best", action="store_true", help="the weights of the best validation, not the last ones")
    parser.set_defaults(handler="facefactor.apps.export_weights:run")


def _add_import_weights(commands: Commands, verbosity: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "import-weights",
        parents=[verbosity],
        help="make shipped weights ready for training",
        description="Write the weights of an exported network as a file that `train REGIME --init FILE` starts from.",
    )
    parser.add_argument(
        "graph",
        metavar="GRAPH",
        help="a graph's file (.onnx), or the name of shipped weights: mofa, inverse, inverse-round0 or landmarks",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="safetensors file to write")
    parser.set_defaults(handler="facefactor.apps.import_weights:run")


def _add_bench(commands: Commands, verbosity: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "bench",
        parents=[verbosity],
        help="time the fast path on this machine",
        description="Medians of encoding and decoding at batch 1 and 32, and the share of this machine's measured "
        "matrix-product peak; of every part of the way from photos to faces; and the memory that many photos take.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--engine",
        choices=[engine for engine in ENGINES if engine != "fit"],
        default=DEFAULT_ENGINE,
        help=f"that is timed (default: {DEFAULT_ENGINE})",
    )
    parser.add_argument(
        "--against",
        choices=[engine for engine in ENGINES if engine != "fit"],
        help="another engine to time in turn with it: says how many times as long the first takes",
    )
    parser.add_argument(
        "--graphs",
        type=Path,
        metavar="DIR",
        help="what `export-weights` wrote, in place of the shipped weights",
    )
    parser.add_argument(
        "--photo", nargs="+", type=Path, metavar="PHOTO", help="time the way from these files too, part by part"
    )
    parser.add_argument("--photos", type=Path, metavar="DIR", help="run a folder's photos, and watch the memory")
    parser.add_argument(
        "--count", type=_positive_int, metavar="N", help="of --photos, over again where they are fewer (default: each)"
    )
    parser.add_argument("--threads", type=_positive_int, metavar="N", help="default: as many as there are cores")
    parser.add_argument("--rounds", type=_positive_int, default=30, metavar="N", help="timings each (default: 30)")
    parser.set_defaults(handler="facefactor.apps.bench:run")


def _positive_int(text: str) -> int:
    """Read a count; argparse prints the message."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def _head_file(text: str) -> Path:
    """Read the name of a head's file; argparse prints the message."""
    path = Path(text)
    if path.suffix.lower() not in HEAD_SUFFIXES:
        raise argparse.ArgumentTypeError(f"must end in one of {', '.join(HEAD_SUFFIXES)}, got {text!r}")
    return path


def _turn_deg(text: str) -> float:
    """Read by how much something is turned; argparse prints the message."""
    try:
        turn_deg = float(text)
    except ValueError:
        turn_deg = math.nan
    if not -360.0 <= turn_deg <= 360.0:
        raise argparse.ArgumentTypeError(f"must be a number of degrees from -360 to 360, got {text!r}")
    return turn_deg


def _texture_size(text: str) -> int:
    """Read the size of a texture; argparse prints the message."""
    low, high = TEXTURE_SIZES_PX
    if not text.isdecimal() or not low <= int(text) <= high:
        raise argparse.ArgumentTypeError(f"must be a whole number from {low} to {high}, got {text!r}")
    return int(text)


def _count(text: str) -> int:
    """Read a count that may be zero; argparse prints the message."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0, got {text!r}")
    return int(text)


def _port(text: str) -> int:
    """Read a port's number; argparse prints the message."""
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 65535, got {text!r}")
    return int(text)


def _run_command(options: argparse.Namespace) -> int:
    """Import the command's handler and call it.

    Raises:
        MissingExtra: the handler needs an optional module that is not installed.
    """
    logging.basicConfig(stream=sys.stderr, format="facefactor: %(message)s")
    logging.getLogger("facefactor").setLevel(logging.INFO if options.verbose else logging.WARNING)
    module, function = options.handler.split(":")
    try:
        handler = getattr(importlib.import_module(module), function)
        return handler(options)
    except ModuleNotFoundError as error:
        missing = (error.name or "").split(".")[0]
        if missing not in _EXTRA_OF_MODULE:
            raise
        install = f"pip install 'facefactor[{_EXTRA_OF_MODULE[missing]}]'"
        raise MissingExtra(f"this command needs {missing}, which is not installed: {install}") from error


def _report(error: FaceError) -> int:
    """Print the error as one line, with its origin where FACEFACTOR_DEBUG asks for it, and return the exit code."""
    if os.environ.get("FACEFACTOR_DEBUG") == "1":
        traceback.print_exception(error)
    print(f"facefactor: {error}", file=sys.stderr)
    return EXIT_PHOTO_FAILED if isinstance(error, PhotoError) else EXIT_WRONG_USE


def _flush_output() -> None:
    if sys.stdout is not None:  # it is None where a shell has closed it
        sys.stdout.flush()


def _output_fails() -> bool:
    """Whether an error may have come from standard output: a line more fails too."""
    try:
        print(flush=True)
    except OSError:
        return True
    return False


def _discard_output() -> None:
    """Write what is left for standard output nowhere, or the flush at exit would fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _make_output_utf8() -> None:
    """Make stdout and stderr UTF-8 whatever the locale, so that no photo's name can stop a run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


if __name__ == "__main__":
    sys.exit(main())
