"""What agents and the rest of the launcher share: records, processes, files, ports.

It imports the standard library alone, and is the one part of the agent that the rest may import.
"""
