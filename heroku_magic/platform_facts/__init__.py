"""What the client and the embedded Heroku both know: an app's files, dyno sizes, prices. What one of them does is not."""
