"""The agents of one run and how they speak: authenticated JSON lines over TCP."""
