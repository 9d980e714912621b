"""The page at ``/``: static files, the feed of queries, and the channel's knobs."""
