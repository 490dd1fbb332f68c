"""The project's folder: guarded files and pure edits."""
