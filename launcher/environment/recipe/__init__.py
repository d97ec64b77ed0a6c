"""What is to be in an environment, and the key that all of it makes.

These modules install nothing: they read options, requirements and this machine, and find what is wrong.
"""
