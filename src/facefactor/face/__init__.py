# SPDX-License-Identifier: Apache-2.0
"""The face model: FaceCode to mesh and albedo."""
