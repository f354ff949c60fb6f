# SPDX-License-Identifier: Apache-2.0
"""Crop to FaceCode: a small convolutional network and the heads that give its answer the code's units (torch).

This file itself imports no torch, so that whoever cuts crops can ask for their size.
"""

ENCODER_CROP_PX = 128
"""Width and height of the crop that the encoder looks at."""
