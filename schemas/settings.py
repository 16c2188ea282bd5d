"""Settings, read from the environment (``MIQYAS_…``)."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
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
    broker_url: SecretStr | None = Field(
        default=None, description="MQTT broker: mqtt://host:port, mqtts://user@host:port"
    )
    broker_password: SecretStr | None = Field(
        default=None, description="password of the user in broker_url"
    )
    broker_password_file: Path | None = Field(
        default=None, description="file with that password instead"
    )
    broker_ca_file: Path | None = Field(
        default=None, description="PEM file of who signs the broker's certificate"
    )
    broker_certificate_file: Path | None = Field(
        default=None, description="PEM file of our certificate for the broker"
    )
    broker_key_file: Path | None = Field(default=None, description="PEM file of its key")
    mappings: Path | None = Field(
        default=None, description="folder of mappings of one's own for MQTT payloads"
    )
    shared: Path = Field(
        default=Path("../shared"), description="folder of data used by some tests only"
    )
    master_key_file: Path | None = Field(
        default=None,
        description="file with the 32-byte key (hex) that seals meter keys in the database",
    )

    disconnects_a_day: int = Field(
        default=10,
        ge=0,
        description="meters that one person may have disconnected within 24 hours",
    )
    approve_group_disconnect: bool = Field(
        default=True, description="a second person must approve the disconnection of a group"
    )
    approve_key_change: bool = Field(
        default=True, description="a second person must approve a change of keys"
    )
    approve_firmware: bool = Field(
        default=True, description="a second person must approve that new firmware begins to run"
    )
    critical_sectors: str = Field(
        default="government,service",
        description="sectors whose usage points no group disconnects, with commas",
    )

    edit_intervals: int = Field(
        default=96,
        ge=0,
        description="intervals that one person may edit at once without another's approval",
    )
    edit_amount: Decimal = Field(
        default=Decimal(50),
        ge=0,
        description="what may change by it, of a reading type in its display unit (kWh, m³)",
    )
    delivery_ca_file: Path | None = Field(
        default=None, description="PEM file of who signs invoicing systems' certificates"
    )
    delivery_certificate_file: Path | None = Field(
        default=None, description="PEM file of our certificate for invoicing systems"
    )
    delivery_key_file: Path | None = Field(default=None, description="PEM file of its key")
    delivery_token_file: Path | None = Field(
        default=None, description="file with the bearer token or API key for invoicing systems"
    )
    sftp_known_hosts_file: Path | None = Field(
        default=None, description="host keys of SFTP servers, as OpenSSH writes them"
    )
    sftp_key_file: Path | None = Field(default=None, description="our private key for SFTP")
    sftp_password: SecretStr | None = Field(
        default=None, description="password for SFTP, where there is no key"
    )
    sftp_password_file: Path | None = Field(
        default=None, description="file with that password instead"
    )
    sum_days: bool = Field(
        default=True, description="days are summed for billing as soon as they are validated"
    )
    overdue_terminate_days: int = Field(
        default=1, ge=0, description="days after which a finding that stops validation is overdue"
    )
    overdue_issue_days: int = Field(
        default=3, ge=0, description="days after which a finding of severity issue is overdue"
    )
    overdue_info_days: int = Field(
        default=30, ge=0, description="days after which a remark is overdue"
    )

    def overdue_after(self) -> dict[str, timedelta]:
        """Give how long a finding may wait, by severity."""
        return {
            "terminate": timedelta(days=self.overdue_terminate_days),
            "issue": timedelta(days=self.overdue_issue_days),
            "info": timedelta(days=self.overdue_info_days),
        }

    def key_file(self) -> Path:
        """Path of the master key: the one that was set, else one in the home folder."""
        return self.master_key_file or self.home / "master.key"
