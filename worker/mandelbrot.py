"""Draw one tile of a picture of the Mandelbrot set. A sweep runs this task once per tile."""

import math
from collections.abc import Iterator
from typing import Annotated

from heroku_task import task

WIDTH, LEFT, TOP = 0.012, -0.74964, 0.13783  # a valley of the set, in the complex plane


@task
def mandelbrot(
    row: Annotated[int, {"minimum": 0}] = 0,
    column: Annotated[int, {"minimum": 0}] = 0,
    tiles: Annotated[int, {"minimum": 1}] = 8,
    pixels: Annotated[int, {"minimum": 1, "maximum": 512}] = 40,
    depth: Annotated[int, {"minimum": 1, "maximum": 10_000}] = 250,
) -> Iterator[dict[str, object]]:
    """Draw one tile of a picture: one row per line, with the brightness of each pixel.

    row: row of the tile, from the top.
    column: column of the tile, from the left.
    tiles: number of tiles per row and per column of the picture.
    pixels: number of pixels per line of the tile.
    depth: maximum number of iterations per point.
    """
    step = WIDTH / (tiles * pixels)
    lines = range(row * pixels, (row + 1) * pixels)
    columns = range(column * pixels, (column + 1) * pixels)
    for line in lines:
        points = [complex(LEFT + step * x, TOP - step * line) for x in columns]
        yield {"line": line, "brightness": [round(_brightness(point, depth), 2) for point in points]}


def _brightness(point: complex, depth: int) -> float:
    """Return how soon a point escapes, on a continuous scale; 0 if it does not."""
    z = 0j
    for steps in range(depth):
        z = z * z + point
        size = z.real * z.real + z.imag * z.imag
        if size > 256:
            return steps + 1 - math.log2(math.log(size) / 2)
    return 0.0
