# SPDX-License-Identifier: Apache-2.0
"""What a photo's name tells of it, in the data sets that people use."""

import re
from dataclasses import dataclass

PERSON_NAME = re.compile(r"^(?P<person>[^_]+)_")
"""Who a photo shows, where one person has several: PERSON_….jpg, as frames of videos are named."""
GROUP_NAME = re.compile(r"^(?P<age>\d+)_(?P<sex>[01])_(?P<group>[0-4])_")
"""The UTKFace names."""
KNOWN_LIGHT = re.compile(r"^(?P<person>[^_]+)_P\d+A(?P<azimuth>[+-]\d+)E(?P<elevation>[+-]\d+)$")
"""The Extended Yale B names."""


@dataclass(frozen=True)
class LitPerson:
    """Who an Extended Yale B photo shows, and from where they are lit."""

    person: str
    azimuth_deg: float
    """From the camera's axis, to the picture's left."""
    elevation_deg: float

    @classmethod
    def of(cls, name: str) -> "LitPerson | None":
        """Read a photo's name, without its ending; None for one of another form."""
        found = KNOWN_LIGHT.match(name)
        return cls(found["person"], float(found["azimuth"]), float(found["elevation"])) if found else None
