# SPDX-License-Identifier: Apache-2.0
"""The terms that fitting and training minimise, one family a file; pure functions of tensors."""
