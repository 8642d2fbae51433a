"""The running program. Sees ports, never a bridge."""
