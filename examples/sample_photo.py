# SPDX-License-Identifier: Apache-2.0
"""Write the sample photo that `make demo` reconstructs: scikit-image's astronaut, a public-domain portrait by NASA.

python examples/sample_photo.py OUT.png
"""

import sys
from pathlib import Path

from PIL import Image
from skimage import data


def main() -> None:
    """Write the photo to the path given."""
    path = Path(sys.argv[1])
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(data.astronaut()).save(path)


if __name__ == "__main__":
    main()
