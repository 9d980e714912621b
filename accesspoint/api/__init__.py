"""Interfaces of the access point for people and programs: gRPC and REST with one meaning."""
