"""The outside world; each module implements a port."""
