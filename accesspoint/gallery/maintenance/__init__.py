"""Work on a gallery as a whole: backups, archives, a change of model, proof of deletion."""
