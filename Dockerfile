# qharness for the CPU, with a JDK. Programs are sandboxed inside the container, which needs two of Docker's locks opened:
#
#     docker build -t qharness .
#     docker run --rm --security-opt seccomp=unconfined --security-opt systempaths=unconfined \
#         -v "$PWD:/work" qharness run --quant rtn:3 --task tiny-python
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends default-jdk-headless && rm -rf /var/lib/apt/lists/*
RUN pip install --no-cache-dir torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu
COPY . /source
RUN pip install --no-cache-dir -c /source/constraints.txt /source && rm -rf /source
WORKDIR /work
ENTRYPOINT ["qharness"]
