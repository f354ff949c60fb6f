# SPDX-License-Identifier: Apache-2.0
"""The named numbers that describe a face in a scene."""

from facefactor.code.face_code import FaceCode
from facefactor.code.names import EXPRESSION_NAMES

__all__ = ["EXPRESSION_NAMES", "FaceCode"]
