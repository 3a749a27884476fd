# The image of app, worker and commands; a model server is an image of its own (vllm/vllm-openai).
ARG PYTHON=3.11.14-slim-bookworm

FROM python:${PYTHON} AS packages
RUN python -m venv /opt/iterdpo
COPY requirements/build.txt requirements/run.txt /requirements/
RUN /opt/iterdpo/bin/python -m pip install --no-cache-dir --no-input --disable-pip-version-check \
    --require-hashes -r /requirements/build.txt \
    && /opt/iterdpo/bin/python -m pip install --no-cache-dir --no-input \
    --disable-pip-version-check --require-hashes -r /requirements/run.txt

FROM python:${PYTHON}
# The id is fixed, so that a volume's files keep their owner from one image to the next.
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin iterdpo \
    && install --directory --owner iterdpo --group iterdpo /data
COPY --from=packages /opt/iterdpo /opt/iterdpo
WORKDIR /srv/iterdpo
COPY app app
COPY worker worker
COPY migrations migrations
COPY static static
COPY templates templates
RUN /opt/iterdpo/bin/python -m compileall -q app worker migrations
ENV PATH=/opt/iterdpo/bin:$PATH PYTHONUNBUFFERED=1 ITERDPO_DATA=/data ITERDPO_LOG_JSON=1
USER iterdpo
VOLUME /data
EXPOSE 8000
ENTRYPOINT ["python", "-m", "app.cli"]
CMD ["serve", "--host", "0.0.0.0"]
