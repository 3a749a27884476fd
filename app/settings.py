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
        Path, Field(description="Directory of the embedded database, the images and the logs.")
    ] = Path("data")
    host: Annotated[str, Field(description="Address the web server listens on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535, description="Port of the web server.")] = 8000
    public_url: Annotated[
        str | None,
        Field(
            description="Address that users type, such as https://studio.example, when a proxy "
            "stands before the app. Links begin with it, requests for another host are refused, "
            "and with https the session cookie is Secure. Unset: the app is reached directly."
        ),
    ] = None
    trusted_proxies: Annotated[
        str,
        Field(
            description="Addresses and networks of the proxies before the app, with commas between "
            "them. Only they may say where a request comes from (X-Forwarded-For, "
            "X-Forwarded-Proto). Unset: nobody."
        ),
    ] = ""
    demo: Annotated[
        bool, Field(description="Allow the demo accounts with their published passwords.")
    ] = False
    session_hours: Annotated[
        int,
        Field(ge=1, le=8760, description="A log-in lasts this long after its last use, in hours."),
    ] = 336
    max_upload_mb: Annotated[
        int, Field(ge=1, description="Largest file that the import page takes, in MiB.")
    ] = 512
    max_image_megapixels: Annotated[
        int, Field(ge=1, description="Largest image that is decoded, in million pixels.")
    ] = 64
    api_requests_per_minute: Annotated[
        int,
        Field(ge=1, description="Requests to the API that a token has a minute, in each process."),
    ] = 3000
    db_pool: Annotated[
        int, Field(ge=1, le=200, description="Database connections an app process holds at most.")
    ] = 16
    lease_s: Annotated[
        float,
        Field(gt=0, description="A worker that is silent this long loses its work, in seconds."),
    ] = 10.0
    regeneration_timeout_s: Annotated[
        float,
        Field(
            gt=0,
            description="A text that has been written for longer has failed, in seconds; waiting "
            "for a worker or for the annotator does not count.",
        ),
    ] = 1800.0
    worker_streams: Annotated[
        int, Field(ge=1, le=1024, description="Regenerations that one worker process runs at once.")
    ] = 64
    engine: Annotated[
        Literal["replay", "openai"],
        Field(
            description="What a worker writes with: replay (no model) or openai, a model server "
            "with the OpenAI-compatible chat API."
        ),
    ] = "replay"
    engine_url: Annotated[
        str | None,
        Field(description="Address of the model server, with or without /v1; for openai."),
    ] = None
    engine_model: Annotated[
        str, Field(description="Model that the server must serve. Unset: the only one it has.")
    ] = ""
    engine_key: Annotated[
        SecretStr | None,
        Field(description="Key that the model server asks for, if it does. It is never logged."),
    ] = None
    engine_patience_s: Annotated[
        float,
        Field(
            gt=0,
            description="A model server that writes nothing for so long before its first text has "
            "failed, in seconds; reading the prompt is added (5 ms a token, 3 minutes at most).",
        ),
    ] = 60.0
    replay_words_per_s: Annotated[
        float,
        Field(gt=0, description="Speed at which the replay engine writes, in words a second."),
    ] = 60.0
    metrics_token: Annotated[
        SecretStr | None,
        Field(
            description="Who sends it as a bearer token may read the app's /metrics. Unset: nobody."
        ),
    ] = None
    metrics_port: Annotated[
        int | None,
        Field(
            ge=1,
            le=65535,
            description="Port on which a worker serves its /metrics. Unset: it does not.",
        ),
    ] = None
    metrics_host: Annotated[
        str, Field(description="Address on which a worker serves its /metrics.")
    ] = "127.0.0.1"
    log_json: Annotated[bool, Field(description="Logs as JSON lines instead of coloured text.")] = (
        False
    )
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    reload: Annotated[
        bool, Field(description="Developing: re-read templates and static files at each request.")
    ] = False

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, url: str | None) -> str | None:
        if not url:
            # Empty is how a file of variables says that there is none.
            return None
        if not re.fullmatch(r"https?://(\[[0-9a-fA-F:]+\]|[^\s/?#@:\[\]]+)(:\d{1,5})?/?", url):
            raise ValueError("It must be like https://studio.example, without a path.")
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
                    f"{one!r} is no address and no network such as 172.30.8.0/24."
                ) from None
            if network.prefixlen == 0:
                raise ValueError(f"{one} would trust everybody.")
            found.append(one)
        return ",".join(found)

    @field_validator("engine_url")
    @classmethod
    def _check_url(cls, url: str | None) -> str | None:
        # The address is logged, so no password may stand in it.
        if url is not None and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#@]*)?", url):
            raise ValueError("It must be like http://host:8000, without a name or password in it.")
        return url

    @field_validator("engine_key")
    @classmethod
    def _check_key(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not re.fullmatch(r"[!-~]*", key.get_secret_value()):
            raise ValueError("It must be ASCII without blanks or line ends.")
        return key

    @field_validator("metrics_token")
    @classmethod
    def _check_token(cls, token: SecretStr | None) -> SecretStr | None:
        if token is None or not token.get_secret_value():
            # Empty is how a file of variables says that there is none.
            return None
        if not re.fullmatch(r"[!-~]{16,}", token.get_secret_value()):
            raise ValueError("It must be 16 or more ASCII characters without blanks.")
        return token

    @model_validator(mode="after")
    def _check_engine(self) -> Self:
        if self.engine == "openai" and self.engine_url is None:
            raise ValueError(
                "ITERDPO_ENGINE is openai, so ITERDPO_ENGINE_URL must say where the model "
                "server is."
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
