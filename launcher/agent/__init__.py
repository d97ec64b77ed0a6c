"""What runs beside the processes of a run: standard library only, Python 3.8 or newer.

This package imports nothing of the rest of launcher: its files are copied into the store by
content hash and started from there with `python -I -S`, also on machines where launcher is
not installed and long after it was upgraded.
"""
