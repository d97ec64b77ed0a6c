"""The smallest job."""

print("done")
