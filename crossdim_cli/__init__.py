"""The command line of crossdim: one file a verb; options, console output and exit codes only."""
