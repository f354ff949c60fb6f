# SPDX-License-Identifier: Apache-2.0
"""The fast path: the encoder and the face model as ONNX graphs, run without torch."""
