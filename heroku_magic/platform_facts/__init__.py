"""Facts about Heroku that the client and the emulator share: how it reads an app's files, dyno sizes, prices."""
