"""Upload: how many pictures may be sent at once, and how large, for who sends and who receives.

Takes in sizes, hands on a sentence for what is too much. It reads no picture.
"""

from __future__ import annotations

from collections.abc import Sequence

MOST_PICTURES = 12
LARGEST_PICTURE = 12_000_000  # bytes
MOST_TOGETHER = 24_000_000  # bytes


def too_much(sizes: Sequence[int]) -> str | None:
    """What is wrong with pictures of these sizes in bytes; None where they may be sent."""
    if not 1 <= len(sizes) <= MOST_PICTURES:
        return f"send 1 to {MOST_PICTURES} pictures at a time"
    if not all(sizes):
        return "a picture is empty (0 bytes); choose it again"
    if max(sizes) > LARGEST_PICTURE:
        return f"a picture may have {LARGEST_PICTURE // 1_000_000} MB; make it smaller first"
    if sum(sizes) > MOST_TOGETHER:
        return (
            f"all pictures together may have {MOST_TOGETHER // 1_000_000} MB; send them in several "
            "goes"
        )
    return None
