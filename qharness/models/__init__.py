"""Models: loading, their blocks, sampling, generation, and the class lm-eval knows as `qharness`."""
