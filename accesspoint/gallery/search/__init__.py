"""Search indexes over the embeddings of a gallery, one for each scheme."""
