"""Where environments are kept: folders by key, archives for nodes, and images.

The modules find what exists, count it, pack it, and remove what no run uses.
"""
