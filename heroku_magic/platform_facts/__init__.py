"""What the client and the embedded Heroku both know: the files of an app that Heroku reads, dyno sizes, prices."""
