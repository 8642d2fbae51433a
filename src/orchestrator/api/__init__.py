"""The doors: command line now, more later."""
