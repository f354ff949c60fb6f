# SPDX-License-Identifier: Apache-2.0
"""Regimes and the loop that they share (torch)."""
