"""The code of an app: where it lies, what its Procfile says, the environment that it runs in."""
