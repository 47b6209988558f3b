"""The page: everything that uses gradio, built on the library."""
