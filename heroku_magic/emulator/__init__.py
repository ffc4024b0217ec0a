"""The embedded Heroku: a local server that speaks the Platform API and runs each dyno as a process, without a sandbox.

It runs as a process of its own (`python -m heroku_magic.emulator --help`) behind a URL. Of `heroku_magic`, it imports
only `platform_facts/`. Code for clients of Heroku does not belong here.
"""
