# SPDX-License-Identifier: Apache-2.0
"""The fast path: the encoder and the face model as ONNX graphs, run without torch.

`predictor.py` is what runs and needs numpy and onnxruntime alone; `decoder.py` and `export.py` make the graphs and need
torch.
"""
