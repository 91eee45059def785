"""Files for other programs, and pictures. Everything is returned as bytes; callers commit them."""
