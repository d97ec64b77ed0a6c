"""Configuration: Hydra's composition, and what it means."""
