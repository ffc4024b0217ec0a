"""Parse a line or cell of `%heroku`, `%%heroku` or `%%dyno`, call the Python API, and show the result.

What a run, a sweep or an app does belongs in the packages below; widgets and drawing do not belong here either.
"""

from heroku_magic.magics.heroku_magics import HerokuMagics, load, unload

__all__ = ["HerokuMagics", "load", "unload"]
