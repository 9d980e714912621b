"""Dashboard at ``/``: static files, the feed of queries, and the channel's settings."""
