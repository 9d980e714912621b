"""The gallery: who is known, what of them is stored, and how they are searched for."""
