"""Files and folders: one reader, one writer, and one way in which a folder becomes whole."""
