"""The smallest task: a plain script that reads its environment and prints; it uses no helper."""

import os

print(f"Hello {os.environ.get('NAME') or 'World'}!")
