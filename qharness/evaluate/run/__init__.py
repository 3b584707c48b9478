"""One run: planned, evaluated through lm-eval, recorded in its folder."""
