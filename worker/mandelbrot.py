"""One tile of a picture of the Mandelbrot set: a task that a sweep runs once for each tile."""

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
    """Draw one tile of a picture: a row for each of its lines, with a brightness for each pixel.

    row: of the tile, from the top.
    column: of the tile, from the left.
    tiles: in a row and in a column of the whole picture.
    pixels: in a line of the tile.
    depth: how long a point may take to escape.
    """
    step = WIDTH / (tiles * pixels)
    lines = range(row * pixels, (row + 1) * pixels)
    places = range(column * pixels, (column + 1) * pixels)
    for line in lines:
        points = [complex(LEFT + step * place, TOP - step * line) for place in places]
        yield {"line": line, "brightness": [round(_brightness(point, depth), 2) for point in points]}


def _brightness(point: complex, depth: int) -> float:
    """How soon a point escapes, on a scale without steps; 0 for one that never does."""
    z = 0j
    for steps in range(depth):
        z = z * z + point
        size = z.real * z.real + z.imag * z.imag
        if size > 256:
            return steps + 1 - math.log2(math.log(size) / 2)
    return 0.0
