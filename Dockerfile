# One image for every Airflow process and worker: target cpu, or gpu for hosts with an NVIDIA card, or spark, which is cpu
# with the Spark and the Java that ENGINE=spark needs.
# Where an index holds CPU wheels of torch, name it: --build-arg PIP_EXTRA_INDEX_URL=...
FROM python:3.11.13-slim-bookworm@sha256:86adf8dbadc3d6e82ee5dd2c74bec2e1c2467cdad47886280501df722372d2e1 AS base
ENV PYTHONUNBUFFERED=1 \
    PYTHONPATH=/opt/recommendations \
    AIRFLOW_HOME=/opt/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/recommendations/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/recommendations/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    STATE_FOLDER=/data/state
# A named volume takes the owner of the folder it is mounted on.
RUN useradd --uid 50000 --create-home airflow \
    && install --directory --owner airflow --mode 700 /opt/airflow/passwords \
    && install --directory --owner airflow /opt/airflow /opt/airflow/logs /data/state /data/storage
WORKDIR /opt/recommendations

FROM base AS cpu
ARG PIP_EXTRA_INDEX_URL
COPY requirements-image-cpu.lock requirements-cpu.lock ./
# torch alone has no hash: which wheel it is depends on the index.
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements-image-cpu.lock \
    && pip install --no-cache-dir --constraint requirements-cpu.lock torch
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable . && pip check
USER airflow

FROM cpu AS spark
USER root
RUN pip install --no-cache-dir --no-deps --no-build-isolation --require-hashes -r requirements-image-spark.lock
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/*
USER airflow

FROM base AS gpu
COPY requirements-image-gpu.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements-image-gpu.lock
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable . && pip check
USER airflow
