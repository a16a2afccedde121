"""What would be decided otherwise: by labelled lines, and by what is on record. Touches no host and writes no store."""
