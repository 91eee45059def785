"""Photos of others: backgrounds, and pictures with annotated keypoints."""
