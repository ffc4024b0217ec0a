"""The smallest task: a plain script that reads an environment variable and prints, without the helper."""

import os

print(f"Hello {os.environ.get('NAME') or 'World'}!")
