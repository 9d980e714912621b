"""The camera side: image -> feature -> channel symbols -> uplink."""
