"""What the client and the embedded Heroku both know: an app's files, dyno sizes, prices. No behaviour of either."""
