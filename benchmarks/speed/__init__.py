"""How long a photo takes, against the article's script, presets and other runtimes."""
