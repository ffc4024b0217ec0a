"""A task: `%%heroku` runs it with the cell's parameters, and what it yields comes back as a DataFrame."""

from collections.abc import Iterator

from heroku_task import progress, task


@task
def squares(n: int = 10, power: int = 2) -> Iterator[dict[str, int]]:
    """Raise the first numbers to a power.

    n: how many numbers.
    power: what they are raised to.
    """
    for number in progress(range(n)):
        print(f"{number} to the power of {power} is {number**power}")
        yield {"number": number, "result": number**power}
