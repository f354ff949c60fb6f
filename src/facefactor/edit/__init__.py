# SPDX-License-Identifier: Apache-2.0
"""What people do with a factored face in its photo: other light, expression, shape and skin (numpy, no torch)."""
