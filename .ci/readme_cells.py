"""Run the README's cells in the current environment, and compare their values with the outputs that it shows."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell


def main(readme: Path) -> None:
    """Run the cells of a README; exit with a message at the first difference."""
    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "heroku_magic")
    shell.user_ns["names"] = ["Ada", "Grace"]
    shown = re.findall(r"```ipython\n(.*?)```\n```text\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    for cell, output in shown:
        result = shell.run_cell(cell)
        if str(result.result) != output.rstrip("\n"):
            sys.exit(f"This cell of the README gives another value:\n{cell}\n{result.result}")
    if not shown:
        sys.exit("The README shows no cells.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
