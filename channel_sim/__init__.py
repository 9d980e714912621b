"""The radio between edge and access point."""
