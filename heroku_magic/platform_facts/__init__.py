"""Facts of Heroku: how it reads an app's files, dyno sizes, prices. What client and emulator do is not here."""
