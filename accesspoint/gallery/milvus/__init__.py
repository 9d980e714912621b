"""A gallery whose indexes are collections on a Milvus server."""
