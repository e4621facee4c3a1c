//! The configuration file of the service: what can be set, the defaults, and the limits.
//!
//! One struct per concern. A key that is unknown is an error, because a misspelt one that is
//! ignored sets nothing and says nothing. `config.default.toml` has all of it in words, and a
//! test holds the two together. No secret is in here: files are named, not contained.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use engine::DownloadFormat;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::telemetry::LogFormat;

/// The default configuration file, with a comment for each setting.
pub(crate) const DEFAULT_FILE: &str = include_str!("config.default.toml");

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The file is not TOML, has a key that is unknown, or a value of the wrong type.
    #[error("the configuration file {} is not valid", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what.
        source: toml::de::Error,
    },
    /// A value is outside its limits.
    #[error("{key} is {value}, but must be from {} to {}", range.start(), range.end())]
    OutOfRange {
        /// The setting.
        key: &'static str,
        /// Its value.
        value: u64,
        /// What is allowed.
        range: RangeInclusive<u64>,
    },
    /// Only one of two settings was given.
    #[error("tls.certificate_file and tls.key_file belong together, and only one is set")]
    HalfTls,
    /// Data files cannot be made.
    #[error("downloads.format is \"data-files\", which needs scratch.mongod")]
    NoMongod,
    /// The address is not one.
    #[error("server.public_url is `{0}`, but must begin with http:// or https://")]
    PublicUrl(String),
}

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Where and to whom the API answers.
    pub(crate) server: Server,
    /// Encryption of connections.
    pub(crate) tls: Tls,
    /// Who may do what from where.
    pub(crate) access: Access,
    /// Snapshots and restores.
    pub(crate) work: Work,
    /// Servers of our own, for drills and archives of data files.
    pub(crate) scratch: Scratch,
    /// Archives.
    pub(crate) downloads: Downloads,
    /// Log lines.
    pub(crate) log: Log,
}

/// Where and to whom the API answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// Address and port.
    pub(crate) listen: SocketAddr,
    /// The address by which clients know the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) public_url: Option<String>,
    /// Whose forwarded headers are believed.
    #[serde(deserialize_with = "blocks")]
    pub(crate) trusted_proxies: Vec<IpNet>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            public_url: None,
            trusted_proxies: Vec::new(),
        }
    }
}

/// Encryption of connections.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Tls {
    /// Certificate chain, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) certificate_file: Option<PathBuf>,
    /// Private key, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_file: Option<PathBuf>,
}

/// Who may do what from where.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Access {
    /// Whether restoring onto M2 and M5 clusters needs a key with an access list.
    pub(crate) tenant_restores_need_access_list: bool,
}

/// Snapshots and restores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Work {
    /// Jobs at a time.
    pub(crate) slots: u16,
    /// Collections of one job at a time.
    pub(crate) cursors: u16,
    /// Level of zstd.
    pub(crate) compression_level: u16,
    /// How long a deployment may take to answer, in milliseconds.
    pub(crate) deployment_timeout_ms: u32,
    /// Days after which a snapshot reads everything again.
    pub(crate) scan_every_days: u16,
    /// MiB that a snapshot stores between two checkpoints.
    pub(crate) checkpoint_mib: u32,
    /// Seconds that a snapshot reads between two checkpoints.
    pub(crate) checkpoint_seconds: u32,
    /// Whether packs of which little is live are written anew once a day.
    pub(crate) repack: bool,
}

impl Default for Work {
    fn default() -> Self {
        Self {
            slots: 2,
            cursors: 4,
            compression_level: 1,
            deployment_timeout_ms: 10_000,
            scan_every_days: 7,
            checkpoint_mib: 1024,
            checkpoint_seconds: 300,
            repack: false,
        }
    }
}

/// Servers of our own, for drills and archives of data files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Scratch {
    /// The `mongod` to start; without one there are no drills and no data files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mongod: Option<PathBuf>,
    /// Where they work; below the data directory if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) directory: Option<PathBuf>,
    /// Most bytes in there.
    pub(crate) limit_bytes: u64,
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            mongod: None,
            directory: None,
            limit_bytes: 100_000_000_000,
        }
    }
}

/// Archives.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Downloads {
    /// What is in them where the request doesn't say.
    #[serde(with = "download_format")]
    pub(crate) format: DownloadFormat,
}

/// Log lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    /// A level, or levels by module.
    pub(crate) filter: String,
    /// How lines look.
    #[serde(with = "log_format")]
    pub(crate) format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: LogFormat::Text,
        }
    }
}

impl Config {
    /// Reads a file; what is not in it has its default. [`Config::check`] comes after the flags.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        toml::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            source,
        })
    }

    /// Checks what the types alone cannot.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let Work {
            slots,
            cursors,
            compression_level,
            deployment_timeout_ms,
            scan_every_days,
            checkpoint_mib,
            checkpoint_seconds,
            repack: _,
        } = self.work;
        in_range("work.slots", slots, 1..=64)?;
        in_range("work.cursors", cursors, 1..=64)?;
        in_range("work.compression_level", compression_level, 1..=19)?;
        in_range(
            "work.deployment_timeout_ms",
            deployment_timeout_ms,
            100..=600_000,
        )?;
        in_range("work.scan_every_days", scan_every_days, 1..=366)?;
        in_range("work.checkpoint_mib", checkpoint_mib, 1..=1_048_576)?;
        in_range("work.checkpoint_seconds", checkpoint_seconds, 1..=86_400)?;
        if self.tls.certificate_file.is_some() != self.tls.key_file.is_some() {
            return Err(ConfigError::HalfTls);
        }
        in_range(
            "scratch.limit_bytes",
            self.scratch.limit_bytes,
            1_000_000_000..=i64::MAX.cast_unsigned(),
        )?;
        if self.downloads.format == DownloadFormat::DataFiles && self.scratch.mongod.is_none() {
            return Err(ConfigError::NoMongod);
        }
        match &self.server.public_url {
            Some(url) if !url.starts_with("http://") && !url.starts_with("https://") => {
                Err(ConfigError::PublicUrl(url.clone()))
            }
            _ => Ok(()),
        }
    }
}

fn in_range(
    key: &'static str,
    value: impl Into<u64>,
    range: RangeInclusive<u64>,
) -> Result<(), ConfigError> {
    let value = value.into();
    if range.contains(&value) {
        return Ok(());
    }
    Err(ConfigError::OutOfRange { key, value, range })
}

/// Reads blocks such as `10.0.0.0/8`; a single address is a block of one.
fn blocks<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    let block = |text: &String| {
        let single = || text.parse::<std::net::IpAddr>().map(IpNet::from);
        text.parse::<IpNet>().or_else(|_| single()).map_err(|_| {
            serde::de::Error::custom(format!("`{text}` is neither an address nor a block"))
        })
    };
    texts.iter().map(block).collect()
}

/// The format of archives by the words that its flag takes, too.
mod download_format {
    use serde::{Deserialize as _, Deserializer, Serializer, de};

    use super::DownloadFormat;

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands over references"
    )]
    pub(super) fn serialize<S: Serializer>(
        format: &DownloadFormat,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(format.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<DownloadFormat, D::Error> {
        let word = String::deserialize(deserializer)?;
        word.parse()
            .map_err(|_| de::Error::custom(format!("`{word}` is not \"dump\" or \"data-files\"")))
    }
}

/// The log format by the words that its flag takes, too.
mod log_format {
    use clap::ValueEnum as _;
    use serde::{Deserialize as _, Deserializer, Serializer, de, ser};

    use super::LogFormat;

    pub(super) fn serialize<S: Serializer>(
        format: &LogFormat,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let word = format
            .to_possible_value()
            .ok_or_else(|| ser::Error::custom("no word"))?;
        serializer.serialize_str(word.get_name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<LogFormat, D::Error> {
        let word = String::deserialize(deserializer)?;
        LogFormat::from_str(&word, false)
            .map_err(|_| de::Error::custom(format!("`{word}` is not \"text\" or \"json\"")))
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, DEFAULT_FILE};

    fn parse(text: &str) -> Result<Config, String> {
        let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    fn check_refused(text: &str, expected: &str) {
        let error = parse(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }

    #[test]
    fn the_default_file_is_the_default() {
        assert_eq!(parse(DEFAULT_FILE), Ok(Config::default()));
        assert_eq!(parse(""), Ok(Config::default()));
    }

    #[test]
    fn the_default_file_has_every_setting() {
        let table = |text: &str| -> toml::Table { text.parse().unwrap() };
        let written = toml::to_string(&Config::default()).unwrap();
        assert_eq!(table(DEFAULT_FILE), table(&written));
    }

    #[test]
    fn the_settings_without_default_can_be_uncommented() {
        let uncommented: String = DEFAULT_FILE
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(setting) if setting.contains(" = \"") => format!("{setting}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let config = parse(&uncommented).unwrap();
        assert!(config.data_dir.is_some() && config.server.public_url.is_some());
        assert!(config.tls.certificate_file.is_some() && config.tls.key_file.is_some());
    }

    #[test]
    fn proxies_are_addresses_or_blocks() {
        let config = parse("[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]").unwrap();
        let shown: Vec<String> = config
            .server
            .trusted_proxies
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(shown, ["10.0.0.0/8", "::1/128"]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        check_refused("colour = 1", "colour");
        check_refused("[server]\nlisten = 8080", "listen");
        check_refused("[server]\nport = 8080", "port");
        check_refused(
            "[server]\ntrusted_proxies = [\"proxy\"]",
            "`proxy` is neither",
        );
        check_refused(
            "[server]\npublic_url = \"backup\"",
            "server.public_url is `backup`",
        );
        check_refused(
            "[work]\nslots = 0",
            "work.slots is 0, but must be from 1 to 64",
        );
        check_refused(
            "[work]\ncompression_level = 20",
            "work.compression_level is 20",
        );
        check_refused("[work]\ncursors = -1", "cursors");
        check_refused("[tls]\nkey_file = \"key.pem\"", "belong together");
        check_refused("[scratch]\nlimit_bytes = 1", "scratch.limit_bytes is 1");
        check_refused("[downloads]\nformat = \"tar\"", "`tar` is not");
        check_refused("[downloads]\nformat = \"data-files\"", "scratch.mongod");
        check_refused("[log]\nformat = \"xml\"", "`xml` is not");
    }
}
