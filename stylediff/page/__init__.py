"""The page: everything that knows gradio, built on top of the rest of the package."""
