"""A scripted model and scripted programs: the demo and the tests run real parts against them."""
