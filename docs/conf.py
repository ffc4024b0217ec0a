"""Configuration of the documentation: Sphinx with MyST notebooks, executed on the embedded Heroku."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

import heroku_magic

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS / "extensions"), str(DOCS.parent / "worker"), str(DOCS.parent / "tests")]

from wheels import wheel_of  # noqa: E402 - the path is set above

project = "heroku_magic"
author = "the heroku_magic contributors"
release = heroku_magic.__version__
project_copyright = author

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "reference_tables",
    "site_index",
]
exclude_patterns = ["_build", "pictures.py"]
html_theme = "furo"
html_title = f"heroku_magic {release}"
html_static_path = ["_static"]
html_css_files = ["docs.css"]
html_copy_source = False
html_show_sourcelink = False
pygments_style = "default"
smartquotes = False  # options keep their dashes
default_role = "literal"  # docstrings write code in single backticks

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Each page with code is executed again, in a folder of its own; a cell that fails stops the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_in_temp = True
nb_execution_timeout = 90
nb_merge_streams = True
nb_ipywidgets_js = {}  # pages load nothing from elsewhere

autodoc_member_order = "bysource"
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

suppress_warnings = ["misc.highlighting_failure"]  # errors of cells are text, not Python tracebacks

# Types of other packages have no page here, because the build reads nothing from the network.
nitpick_ignore_regex = [
    ("py:.*", rf"(?!heroku_magic\.|(?:{'|'.join(map(re.escape, heroku_magic.__all__))})$).*"),
]

for _name in heroku_magic.__all__:
    if getattr(getattr(heroku_magic, _name), "__module__", "").startswith("heroku_magic."):
        getattr(heroku_magic, _name).__module__ = "heroku_magic"


def _isolate() -> None:
    """Let pages see no account and no network: they run as they would on a fresh machine."""
    for name in [name for name in os.environ if name.startswith("HEROKU_")]:
        del os.environ[name]
    home = tempfile.mkdtemp(prefix="heroku-magic-docs-")
    wheel_of("cloudpickle", Path(home))  # what `%heroku init` requires
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    os.environ.update(HOME=home, PATH=path, PIP_NO_INDEX="1", PIP_FIND_LINKS=home)


_isolate()
