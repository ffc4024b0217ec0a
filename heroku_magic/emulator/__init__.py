"""The embedded Heroku: a local server that speaks the Platform API and runs each dyno as a process, without a sandbox.

It runs as a process of its own (`python -m heroku_magic.emulator --help`) behind a URL. Nothing here may import
another part of `heroku_magic`, and code for clients of Heroku does not belong here.
"""
