"""The files of an app that Heroku reads, and what installing its packages may see; shared with the embedded Heroku."""
