"""Every setting of the product, read once at start from the environment and then passed down."""

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, PostgresDsn, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

# The top of the repository, for tests; the program asks app/resources.py.
ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Frozen configuration; field NAME is read from ITERDPO_NAME, database_url from DATABASE_URL.

    Raises pydantic.ValidationError at construction for a value that cannot be used.
    """

    model_config = SettingsConfigDict(
        env_prefix="ITERDPO_",
        frozen=True,
        extra="ignore",
        # A traceback must not show the model server's key.
        hide_input_in_errors=True,
    )

    database_url: Annotated[
        PostgresDsn | None,
        Field(
            validation_alias="DATABASE_URL",
            description="PostgreSQL to use. Unset: the embedded server under the data directory.",
        ),
    ] = None
    data: Annotated[
        Path, Field(description="Directory of the embedded database, images and logs.")
    ] = Path("data")
    host: Annotated[str, Field(description="Address the web server listens on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535, description="Port of the web server.")] = 8000
    public_url: Annotated[
        str | None,
        Field(
            description="Public address behind a proxy, such as https://studio.example. Links "
            "begin with it, requests for other hosts are refused, and with https "
            "the session cookie is Secure. Unset: no proxy."
        ),
    ] = None
    trusted_proxies: Annotated[
        str,
        Field(
            description="Comma-separated addresses and networks of trusted proxies. The app "
            "reads X-Forwarded-For and X-Forwarded-Proto only from them. Unset: "
            "from no one."
        ),
    ] = ""
    demo: Annotated[
        bool, Field(description="Allow the demo accounts, whose passwords are public.")
    ] = False
    session_hours: Annotated[
        int,
        Field(ge=1, le=8760, description="Hours until an unused log-in expires."),
    ] = 336
    max_upload_mb: Annotated[
        int, Field(ge=1, description="Maximum size of an uploaded file, in MiB.")
    ] = 512
    max_image_megapixels: Annotated[
        int, Field(ge=1, description="Maximum size of an image, in million pixels.")
    ] = 64
    api_requests_per_minute: Annotated[
        int,
        Field(
            ge=1, description="API requests per minute for each token, counted in each app process."
        ),
    ] = 3000
    db_pool: Annotated[
        int, Field(ge=1, le=200, description="Maximum database connections of an app process.")
    ] = 16
    lease_s: Annotated[
        float,
        Field(
            gt=0,
            description="Seconds without a sign of life after which other workers take over a "
            "worker's regenerations.",
        ),
    ] = 10.0
    regeneration_timeout_s: Annotated[
        float,
        Field(
            gt=0,
            description="Maximum time to write one text, in seconds. Waiting for a worker or "
            "the annotator does not count.",
        ),
    ] = 1800.0
    worker_streams: Annotated[
        int, Field(ge=1, le=1024, description="Concurrent regenerations of one worker process.")
    ] = 64
    engine: Annotated[
        Literal["replay", "openai"],
        Field(
            description="Engine of the worker: replay (no model) or openai (a model server "
            "with the OpenAI-compatible chat API)."
        ),
    ] = "replay"
    engine_url: Annotated[
        str | None,
        Field(description="Address of the model server, with or without /v1. Required for openai."),
    ] = None
    engine_model: Annotated[
        str, Field(description="Model to use. Unset: the only model of the server.")
    ] = ""
    engine_key: Annotated[
        SecretStr | None,
        Field(description="API key for the model server, if it needs one. Never logged."),
    ] = None
    engine_patience_s: Annotated[
        float,
        Field(
            gt=0,
            description="Seconds to wait for the first text of the model server before the "
            "attempt fails. Time to read the prompt is added: 5 ms per token, at "
            "most 3 minutes.",
        ),
    ] = 60.0
    replay_words_per_s: Annotated[
        float,
        Field(gt=0, description="Speed of the replay engine, in words per second."),
    ] = 60.0
    metrics_token: Annotated[
        SecretStr | None,
        Field(description="Bearer token that may read the app's /metrics. Unset: /metrics is off."),
    ] = None
    metrics_port: Annotated[
        int | None,
        Field(
            ge=1,
            le=65535,
            description="Port of a worker's /metrics. Unset: /metrics is off.",
        ),
    ] = None
    metrics_host: Annotated[str, Field(description="Address of a worker's /metrics.")] = "127.0.0.1"
    log_json: Annotated[
        bool, Field(description="Write logs as JSON lines instead of coloured text.")
    ] = False
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    reload: Annotated[
        bool,
        Field(description="For development: reload templates and static files at each request."),
    ] = False

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, url: str | None) -> str | None:
        if not url:
            # An empty line in an .env file means unset.
            return None
        if not re.fullmatch(r"https?://(\[[0-9a-fA-F:]+\]|[^\s/?#@:\[\]]+)(:\d{1,5})?/?", url):
            raise ValueError("Use a form like https://studio.example, without a path.")
        return url.rstrip("/")

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, proxies: str) -> str:
        found = []
        for one in re.split(r"[\s,]+", proxies.strip(" ,")) if proxies.strip(" ,") else []:
            try:
                network = ip_network(one)
            except ValueError:
                raise ValueError(
                    f"{one!r} is not an address or a network such as 172.30.8.0/24."
                ) from None
            if network.prefixlen == 0:
                raise ValueError(f"{one} would trust every client.")
            found.append(one)
        return ",".join(found)

    @field_validator("engine_url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        # The address is logged, so no password may stand in it.
        if url is not None and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#@]*)?", url):
            raise ValueError("Use a form like http://host:8000, without a user name or password.")
        return url

    @field_validator("engine_key")
    @classmethod
    def _check_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not re.fullmatch(r"[!-~]*", key.get_secret_value()):
            raise ValueError("Use ASCII characters without spaces or line breaks.")
        return key

    @field_validator("metrics_token")
    @classmethod
    def _check_token(cls, token: SecretStr | None) -> SecretStr | None:
        if token is None or not token.get_secret_value():
            # An empty line in an .env file means unset.
            return None
        if not re.fullmatch(r"[!-~]{16,}", token.get_secret_value()):
            raise ValueError("Use 16 or more ASCII characters without spaces.")
        return token

    @model_validator(mode="after")
    def _check_engine(self) -> Self:
        if self.engine == "openai" and self.engine_url is None:
            raise ValueError(
                "ITERDPO_ENGINE=openai needs ITERDPO_ENGINE_URL, the address of the model server."
            )
        return self

    @property
    def images(self) -> Path:
        """Directory of the image store."""
        return self.data / "images"

    @property
    def snapshots(self) -> Path:
        """Directory of the snapshots' files."""
        return self.data / "snapshots"

    @property
    def uploads(self) -> Path:
        """Directory of files on their way into projects."""
        return self.data / "uploads"
