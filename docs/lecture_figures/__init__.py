"""The figures of the lecture's pages, drawn by docs/lecture.py."""
