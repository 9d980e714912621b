"""The digital scheme: learned prior, arithmetic coder, CRC, polar code and Gray PAM."""
