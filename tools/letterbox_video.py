# SPDX-License-Identifier: Apache-2.0
"""Place a video in frames of 640 × 480, black around it: what speeds of `facefactor video` are measured on.

python tools/letterbox_video.py IN.mp4 OUT.mp4
"""

import argparse
from pathlib import Path

import av
import numpy as np

WIDTH, HEIGHT = 640, 480


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    with av.open(str(options.source)) as source, av.open(str(options.out), "w") as out:
        video = source.streams.video[0]
        stream = out.add_stream("libx264", rate=video.average_rate)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        scale = min(WIDTH / video.width, HEIGHT / video.height)
        width, height = round(scale * video.width), round(scale * video.height)
        left, top = (WIDTH - width) // 2, (HEIGHT - height) // 2
        for frame in source.decode(video):
            picture = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
            small = frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
            picture[top : top + height, left : left + width] = small
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())


if __name__ == "__main__":
    main()
