"""The digital scheme: learned prior, arithmetic coder, CRC, channel codes and Gray PAM."""

from airreid.digital import polar_code as polar_code  # registers the project's own code
