# SPDX-License-Identifier: MIT OR Apache-2.0
"""The noescrow protocol, written from spec/protocol.md alone. One module per section; see ../README.md."""
