QUANTIZATION_METHODS = ["compressed-tensors", "torchao"]
