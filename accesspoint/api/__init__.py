"""What the access point offers people and programs: gRPC and REST with one meaning."""
