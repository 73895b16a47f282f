"""The import path of earlier releases for compilers."""
