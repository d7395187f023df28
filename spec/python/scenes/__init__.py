# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the vectors play, one module per part of the document. Every refusal opens if only its check is missing."""
