"""Where items are processed: in this process, or in supervised local processes."""
