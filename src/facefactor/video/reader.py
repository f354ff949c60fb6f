# SPDX-License-Identifier: Apache-2.0
"""Read a video frame by frame: upright RGB pictures with the container's own timestamps (PyAV).

Place in the flow: the first step of either pass. One frame is held at a time.

Decisions:
- Time is what the container says, in seconds from its first frame; frame numbers and rates never stand for time. A
  frame that does not come after the one before it is left out.
- Phones store turned pictures with a note which way is up: frames are turned, so that all coordinates are upright ones.
- What is damaged is left out, and `Video.damage` says so after a pass; what decodes is used.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from facefactor.errors import VideoUnreadable
from facefactor.paths import why_missing
from facefactor.photo.read import Photo

USUAL_RATE = Fraction(30)
"""Frames a second where a file says nothing."""
PHOTO_BRANDS = frozenset({"avif", "heic", "heix", "mif1"})
"""Major brands of still pictures in the container that MP4 has too (ISO/IEC 23008-12)."""
WEBP_ANIMATED = 0b10
"""The bit of the flags in byte 20 of an extended WebP file (RFC 9649, 2.7)."""
COLOUR_TAGS = ("colorspace", "color_primaries", "color_trc")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame."""

    index: int
    """Counted from zero over the frames that decode."""
    pts: int
    """Presentation time in the stream's time base."""
    time_s: float
    """Seconds since the first frame."""
    photo: Photo
    """Upright."""


def open_container(path: Path) -> Any:
    """Open a file that holds a video stream.

    Raises:
        VideoUnreadable: see `Video`.
    """
    if reason := why_missing(path):
        raise VideoUnreadable(f"{path}: {reason}")
    if path.is_dir():
        raise VideoUnreadable(f"{path}: is a folder, not a video")
    try:
        container = av.open(str(path), metadata_errors="replace")
    except (av.FFmpegError, OSError) as error:
        raise VideoUnreadable(f"{path}: is not a video that can be read: {error.strerror or error}") from None
    if not container.streams.video:
        container.close()
        raise VideoUnreadable(f"{path}: holds no video stream")
    if _is_photo(path, container):
        container.close()
        raise VideoUnreadable(f"{path}: is a photo, not a video: use `facefactor reconstruct`")
    return container


class Video:
    """A video file; each pass over its frames opens it anew.

    Args:
        path: of the file.

    Raises:
        VideoUnreadable: there is no such file, it is no video, or it has no video stream.
    """

    damage: str | None = None
    """What the last pass could not use, as the rest of a sentence; None when all was well."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_container(path) as container:
            stream = container.streams.video[0]
            self.time_base = Fraction(stream.time_base or 1 / USUAL_RATE)
            self.rate = Fraction(stream.average_rate or USUAL_RATE)
            self.num_frames_stated: int = stream.frames
            self.colour_tags = {name: getattr(stream.codec_context, name) for name in COLOUR_TAGS}
            """How its colours were encoded; frames are read by it."""
            self.audio_codecs = [audio.codec_context.name for audio in container.streams.audio]

    def frames(self, on_audio: Callable[[Any], None] | None = None) -> Iterator[Frame]:
        """Decode the frames in order.

        Args:
            on_audio: is given the packets of the first audio stream as they come.

        Raises:
            VideoUnreadable: no frame can be decoded.
        """
        index, first_pts, last_pts, size = 0, 0, -1, None
        for decoded in self._decode(on_audio):
            pts = last_pts + round(1 / (self.rate * self.time_base)) if decoded.pts is None else decoded.pts
            if index == 0:
                first_pts = pts
            elif pts <= last_pts:
                continue
            srgb = _upright(decoded, size)
            size = size or (decoded.width, decoded.height)
            photo = Photo(srgb, f"{self.path.name}, frame {index}")
            yield Frame(index, pts, float((pts - first_pts) * self.time_base), photo)
            index, last_pts = index + 1, pts
        if index == 0:
            raise VideoUnreadable(f"{self.path}: no frame of it can be decoded")

    def _decode(self, on_audio: Callable[[Any], None] | None) -> Iterator[av.VideoFrame]:
        """Decode packet by packet, go on after damaged ones, and note what was missing."""
        num_bad, num_good = 0, 0
        with open_container(self.path) as container:
            video = container.streams.video[0]
            audio = container.streams.audio[:1] if on_audio else ()
            try:
                for packet in container.demux(video, *audio):
                    if packet.stream.type == "audio":
                        on_audio(packet)  # type: ignore[misc]
                        continue
                    try:
                        frames = packet.decode()
                    except av.FFmpegError:
                        num_bad += 1
                        continue
                    num_good += len(frames)
                    yield from frames
            except av.FFmpegError as error:
                logger.info("%s: reading stopped: %s", self.path, error)
                num_bad += 1
        missing = max(self.num_frames_stated - num_good, 0)
        is_damaged = bool(num_bad or missing)
        self.damage = f"is damaged or cut off; {num_good} frames of it are used" if is_damaged else None


def _is_photo(path: Path, container: Any) -> bool:
    """Tell a still picture, which FFmpeg opens as a video of one frame."""
    kind = container.format.name
    if kind == "webp_pipe":
        with path.open("rb") as file:
            head = file.read(21)
        return not (head[12:16] == b"VP8X" and len(head) == 21 and head[20] & WEBP_ANIMATED)
    return kind == "image2" or kind.endswith("_pipe") or container.metadata.get("major_brand") in PHOTO_BRANDS


def _upright(decoded: av.VideoFrame, size: tuple[int, int] | None) -> np.ndarray:
    """(height, width, 3) uint8 RGB; `size` is the width and height to bring it to before it is turned."""
    width, height = size or (decoded.width, decoded.height)
    srgb = decoded.to_ndarray(format="rgb24", width=width, height=height)
    quarter_turns = round(decoded.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(srgb, quarter_turns)) if quarter_turns else srgb
