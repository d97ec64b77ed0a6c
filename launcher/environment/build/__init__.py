"""How an environment is made of a recipe: on this machine, in a container that becomes an image, or in a job.

Every tool runs under a guard and a log, and a build counts once its packages were imported.
"""
