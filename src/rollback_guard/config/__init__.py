"""Turn files that people wrote into a policy, or into problems with their place and a hint."""
