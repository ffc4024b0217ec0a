"""The files of an app that Heroku reads: Procfile and ignore files. The embedded Heroku reads them in the same way."""
