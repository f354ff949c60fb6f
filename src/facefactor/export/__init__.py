# SPDX-License-Identifier: Apache-2.0
"""Faces to files: JSON record, GLB, OBJ, PLY and textures; every file is written whole or not at all."""
