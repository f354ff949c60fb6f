# SPDX-License-Identifier: Apache-2.0
"""`facefactor video`: a video in; its faces' codes over time, a CSV and a moving head for each person, an overlay out.

    DIR/codes.parquet    every number, a row for each face and frame (`video/table.py`)
    DIR/person-N.csv     as Live Link Face records it (`video/live_link.py`)
    DIR/person-N.glb     the textured head with its motion (`export/glb_animation.py`)
    DIR/overlay.mp4      the faces drawn over the video, with its sound
    DIR/report.json      people, jitter before and after, lag, speed

Each file appears when it is whole, those other than the overlay together at the end. People are numbered from 0 in the
order in which they appear.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from threadpoolctl import threadpool_limits

from facefactor.apps.engines import open_engine
from facefactor.apps.facts import format_facts
from facefactor.apps.reconstruction import TEXTURE_SIZE_PX
from facefactor.camera.pose import matrix_from_axis_angle
from facefactor.errors import require
from facefactor.export.atomic import require_writable, write_together
from facefactor.export.glb_animation import HeadMotion, encode_animated_glb
from facefactor.export.head import HeadMesher
from facefactor.export.photo_texture import PhotoTexture
from facefactor.face.albedo import subdivided_albedo
from facefactor.face.model import FaceModel, load_face_model
from facefactor.infer.engine import EncoderEngine
from facefactor.video.pipeline import PartSeconds
from facefactor.video.rows import ClipFaces

if TYPE_CHECKING:
    from facefactor.video.clip import Clip

OVERLAY = "overlay.mp4"


def run(options: argparse.Namespace) -> int:
    """Turn the video of the command line into its files and return the exit code.

    Raises:
        MissingExtra: PyAV or pyarrow is not installed.
        VideoUnreadable: the file is no video that can be read.
        NoFaceFound: it shows no face.
        OutputUnwritable: the output folder, or a file in it, cannot be written.
    """
    for module in ("av", "pyarrow"):
        require(module, "video", "this command")
    from facefactor.video.clip import describe_clip, draw_clip
    from facefactor.video.reader import Video
    from facefactor.video.report import make_report

    video = Video(options.video)
    require_writable(options.out)
    engine = open_engine(options.engine, load_face_model(), num_threads=1)
    assert isinstance(engine, EncoderEngine)  # of the command line's choices
    start, seconds = time.perf_counter(), PartSeconds()
    with threadpool_limits(limits=1, user_api="blas"):  # whose threads else spin on the cores that other stages want
        clip = describe_clip(video, engine, seconds)
        draw_clip(video, clip, engine.model, options.out / OVERLAY, seconds)
        report = make_report(video, clip, seconds, time.perf_counter() - start)
        contents = encode_files(options.out, clip, engine)
    contents[options.out / "report.json"] = (json.dumps(report, indent=2) + "\n").encode()
    write_together(contents)
    if video.damage:
        print(f"facefactor: {video.path}: {video.damage}", file=sys.stderr)
    files = " ".join(map(str, [*contents, options.out / OVERLAY]))
    print(json.dumps(report) if options.json else f"{video.path} → {files}\n{format_facts(report, as_json=False)}")
    return 0


def encode_files(out: Path, clip: "Clip", engine: EncoderEngine) -> dict[Path, bytes]:
    """The table of all codes, and each person's CSV and moving head, by their names in a folder."""
    from facefactor.video.live_link import encode_live_link
    from facefactor.video.table import encode_table

    mesher, texture = HeadMesher(engine.model), PhotoTexture(engine.model, TEXTURE_SIZE_PX)
    contents = {out / "codes.parquet": encode_table(clip.faces, engine)}
    for number in range(len(clip.steadiness)):
        person = clip.faces.of_person(number)
        contents[out / f"person-{number}.csv"] = encode_live_link(person)
        contents[out / f"person-{number}.glb"] = encode_moving_head(person, engine.model, mesher, texture)
    return contents


def encode_moving_head(person: ClipFaces, model: FaceModel, mesher: HeadMesher, texture: PhotoTexture) -> bytes:
    """The GLB of one person: their one head and texture, moved as their rows say."""
    first = person.code[0]
    motion = HeadMotion(
        times_s=person.times_s,
        runs=person.tracks,
        weights=person.code.expression,
        R=matrix_from_axis_angle(person.code.rotation.astype(float)),
        t_mm=person.code.translation,
        K=person.K,
    )
    albedo = subdivided_albedo(model, first.full_reflectance)
    return encode_animated_glb(mesher.mesh(first, texture.plain(albedo)), motion)
