"""Speed of the daemon, each figure beside a reference measured in the same run. `python -m benchmarks` does it all."""
