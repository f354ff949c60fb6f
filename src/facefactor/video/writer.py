# SPDX-License-Identifier: Apache-2.0
"""Write pictures with timestamps, and a clip's own sound, as an MP4 (PyAV, H.264).

Timestamps are kept as they are, in the source's time base. The sound is copied packet by packet where MP4 can hold it.
The file appears under its name when it is whole.
"""

import contextlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from facefactor.errors import OutputUnwritable
from facefactor.export.atomic import replaced_when_done
from facefactor.video.reader import Video, open_container

CODEC = "libx264"
CODEC_OPTIONS = {"preset": "superfast", "crf": "20"}
"""What slower presets look better by is not seen; they take two to five times as long."""
MATRICES = (1, 9)
"""RGB to YUV by BT.709 and BT.2020, as FFmpeg numbers them; all else is BT.601 here."""
NARROW_RANGE = 1
"""Brightness from 16 to 235, as FFmpeg numbers it: what players expect."""
SOUND_IN_MP4 = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"})
"""Codecs of sound that MP4 holds."""


@contextlib.contextmanager
def write_video(path: Path, source: Video, width: int, height: int) -> Iterator["VideoWriter"]:
    """Open a file to write to; it takes its place when the block ends well.

    Args:
        path: of the file.
        source: of timestamps and sound.
        width: of the pictures, pixels.
        height: of the pictures, pixels.

    Raises:
        OutputUnwritable: the file cannot be written; from inside the block, too.
    """
    try:
        with replaced_when_done(path) as temporary, av.open(str(temporary), "w", format="mp4") as container:
            writer = VideoWriter(container, source, width, height)
            yield writer
            writer.finish()
    except av.FFmpegError as error:
        raise OutputUnwritable(f"{path}: cannot be written: {error.strerror or error}") from error


def copies_sound(source: Video) -> bool:
    """Whether a video has sound that goes with it."""
    return bool(source.audio_codecs) and source.audio_codecs[0] in SOUND_IN_MP4


class VideoWriter:
    """Encodes pictures, and takes sound as it comes; made by `write_video`."""

    def __init__(self, container: Any, source: Video, width: int, height: int) -> None:
        self._container = container
        self._padding = ((0, height % 2), (0, width % 2), (0, 0))  # H.264 halves the colours' width and height
        self._video = container.add_stream(CODEC, rate=source.rate, options=CODEC_OPTIONS)
        self._video.width, self._video.height = width + width % 2, height + height % 2
        self._video.pix_fmt = "yuv420p"
        self._video.codec_context.time_base = source.time_base
        self._video.codec_context.thread_count = 1  # other parts of the work have the other cores
        for name, tag in {**source.colour_tags, "color_range": NARROW_RANGE}.items():
            setattr(self._video.codec_context, name, tag)
        tagged = source.colour_tags["colorspace"]
        self._matrix = tagged if tagged in MATRICES else None
        self._sound = self._add_sound(source)
        self._sound_packets: deque[Any] = deque()

    def add_sound(self, packet: Any) -> None:
        """Take a packet of the source's sound; may be called from another thread than the rest."""
        if self._sound is not None and packet.dts is not None:
            self._sound_packets.append(packet)

    def write(self, picture_srgb: np.ndarray, pts: int) -> None:
        """Add a picture.

        Args:
            picture_srgb: (height, width, 3) uint8.
            pts: when it is shown, in the source's time base; later than the one before.
        """
        if any(sum(self._padding, ())):
            picture_srgb = np.pad(picture_srgb, self._padding, mode="edge")
        frame = av.VideoFrame.from_ndarray(picture_srgb, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=self._matrix, dst_color_range=NARROW_RANGE)
        frame.pts, frame.time_base = pts, self._video.codec_context.time_base
        self._mux(self._video.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        self._mux(self._video.encode(None))

    def _mux(self, packets: list[Any]) -> None:
        self._container.mux(packets)
        while self._sound_packets:
            packet = self._sound_packets.popleft()
            packet.stream = self._sound
            self._container.mux(packet)

    def _add_sound(self, source: Video) -> Any:
        if copies_sound(source):
            with open_container(source.path) as container:
                return self._container.add_stream_from_template(container.streams.audio[0])
        return None
