"""From scores and soundfonts to clips, caches and aligned pairs."""
