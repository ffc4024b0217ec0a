"""The embedded Heroku: a local server that speaks the Platform API and runs each dyno as a real process; no sandbox.

It is an island: it imports nothing of the package around it and is started as a process of its own,
`python -m heroku_magic.emulator --help`.
"""
