"""Settings, read from the environment (``MIQYAS_…``)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Where Miqyas finds its database, its data and its keys."""

    model_config = SettingsConfigDict(env_prefix="MIQYAS_", frozen=True)

    home: Path = Field(
        default=Path(".miqyas"), description="folder of the private database and keys"
    )
    database_url: SecretStr | None = Field(
        default=None,
        description="PostgreSQL to use instead of a private one: postgresql://user@host/name",
    )
    broker_url: str | None = Field(default=None, description="MQTT broker: mqtt://host:port")
    shared: Path = Field(
        default=Path("../shared"), description="folder of data used by some tests only"
    )
    master_key_file: Path | None = Field(
        default=None,
        description="file with the 32-byte key (hex) that seals meter keys in the database",
    )

    def key_file(self) -> Path:
        """Path of the master key: the one that was set, else one in the home folder."""
        return self.master_key_file or self.home / "master.key"
