"""The version, written down once: the build reads it here."""

VERSION = "0.1.0"
