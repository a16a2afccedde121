"""What a share may be by chance."""

from __future__ import annotations

import math

#: Of the normal distribution, for 95 %.
Z = 1.959964


def wilson(hits: int, total: int) -> tuple[float, float]:
    """From and to, in percent: Wilson's interval of 95 % (Wilson 1927). Of nothing, anything."""
    if not total:
        return 0.0, 100.0
    share = hits / total
    middle = share + Z * Z / (2 * total)
    spread = Z * math.sqrt(share * (1 - share) / total + Z * Z / (4 * total * total))
    scale = 1 + Z * Z / total
    return 100 * max(0.0, (middle - spread) / scale), 100 * min(1.0, (middle + spread) / scale)
