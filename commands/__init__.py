"""The commands of `evtrig`, one a module: options in, results out."""
