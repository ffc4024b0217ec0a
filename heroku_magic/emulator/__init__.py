"""The embedded Heroku: a local server that speaks the Platform API and runs each dyno as a real process.

An island: it imports nothing of heroku_magic, and nothing of heroku_magic imports it. It is started as
`python -m heroku_magic.emulator` and reached by its URL, as Heroku itself is. From the outside in:

    __main__     the command line, and what ends the process
    server       the tornado application on its socket
    routes       which URL goes to which handler
    handlers     requests -> answers of the Platform API
    stream       a log session's URL -> its lines
    answers      state -> JSON as the schema names it; Heroku's error bodies
    state        accounts, apps, releases, dynos: plain values and their rules
    dynos        a dyno's life as a real process
    logplex      the log buffer of an app, its sessions and tails
    folder       an app's folder served live: Procfile, .env, when it changed
    environment  requirements.txt -> the app's own Python environment
    guard        a small second process that cleans up when this one is killed
"""
