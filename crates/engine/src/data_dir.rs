//! The data directory: key file, metadata, snapshots, and the lock that keeps it to one process.
//!
//! `key` holds 32 random bytes in hexadecimal, mode 0600. Every other secret is derived from
//! it, so that one file beside the snapshots is all there is to keep safe. It is never
//! written again; losing it loses the snapshots.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use meta::{Meta, SealKey};
use model::organization::check_name;
use model::{Clock, OrgId, Organization, Project, ProjectId, Role, RoleAssignment};
use ring::{hkdf, hmac};
use vault::{KeyEncryptionKey, Repository, Store};

use crate::usecase::keys::{self, NewKey};
use crate::{Config, entropy};

const KEY_BYTES: usize = 32;

/// An existing data directory, locked for this process until dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// What `init` made.
#[derive(Debug)]
pub struct Initialised {
    /// The first organization.
    pub organization: Organization,
    /// The first project.
    pub project: Project,
    /// The first key, an owner of that organization.
    pub key: NewKey,
}

/// Why a data directory could not be made.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum InitError {
    #[error("{0} is already initialised")]
    AlreadyInitialised(PathBuf),
    #[error(transparent)]
    InvalidName(model::Error),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("store the first organization, project and key")]
    Bootstrap(#[source] meta::Error),
}

/// Why a data directory could not be opened.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum OpenError {
    #[error("{0} is not an initialised data directory; hint: run `regrow init --data-dir {0}`")]
    NotInitialised(PathBuf),
    #[error("another process uses {0}; hint: stop it, or give each its own --data-dir")]
    InUse(PathBuf),
    #[error("the key file {0} does not hold 64 hexadecimal digits")]
    InvalidKeyFile(PathBuf),
    #[error("{doing} {path}")]
    Io {
        doing: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("open the metadata")]
    Meta(#[from] meta::Error),
    #[error("take over the jobs of the last process")]
    Leases(#[source] model::Error),
    #[error("open the snapshot store")]
    Vault(#[from] vault::Error),
}

/// The keys derived from the key file.
pub(crate) struct Secrets(hkdf::Prk);

struct Length;

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        KEY_BYTES
    }
}

impl Secrets {
    fn derive(&self, purpose: &[u8]) -> [u8; KEY_BYTES] {
        let mut key = [0; KEY_BYTES];
        let info = [purpose];
        let derived = self
            .0
            .expand(&info, Length)
            .expect("32 bytes are within what HKDF gives");
        derived
            .fill(&mut key)
            .expect("the length is the one asked for");
        key
    }

    /// Returns the key that seals columns of the metadata.
    pub(crate) fn seal_key(&self) -> SealKey {
        SealKey::new(self.derive(b"regrow metadata seal v1"))
    }

    /// Returns the key that wraps the snapshot store's own.
    pub(crate) fn key_encryption_key(&self) -> KeyEncryptionKey {
        KeyEncryptionKey::new(self.derive(b"regrow snapshot store v1"))
    }

    /// Returns the key behind download links.
    pub(crate) fn download_key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.derive(b"regrow download links v1"))
    }
}

impl DataDir {
    /// Locks an existing directory.
    pub fn open(path: &Path) -> Result<DataDir, OpenError> {
        if !path.join("key").is_file() {
            return Err(OpenError::NotInitialised(path.to_owned()));
        }
        Self::lock(path)
    }

    fn lock(path: &Path) -> Result<DataDir, OpenError> {
        let file = path.join("lock");
        let failed = io_error("open", &file);
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&file);
        let lock = lock.map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(DataDir {
                path: path.to_owned(),
                _lock: lock,
            }),
            Err(fs::TryLockError::WouldBlock) => Err(OpenError::InUse(path.to_owned())),
            Err(fs::TryLockError::Error(error)) => Err(io_error("lock", &file)(error)),
        }
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the metadata's file.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("regrow.db")
    }

    fn snapshots(&self) -> PathBuf {
        self.path.join("snapshots")
    }

    /// Reads the key file.
    pub(crate) fn secrets(&self) -> Result<Secrets, OpenError> {
        let path = self.path.join("key");
        let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
        let digits = text.trim();
        let invalid = || OpenError::InvalidKeyFile(path.clone());
        if digits.len() != 2 * KEY_BYTES || !digits.bytes().all(|c| c.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
        let key: Result<Vec<u8>, _> = pairs.map(|pair| u8::from_str_radix(pair, 16)).collect();
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"regrow data directory");
        Ok(Secrets(salt.extract(&key.map_err(|_| invalid())?)))
    }

    /// Opens the snapshot store.
    pub(crate) async fn open_repository(&self, secrets: &Secrets) -> Result<Repository, OpenError> {
        let store = Store::local(&self.snapshots())?;
        Ok(Repository::open(store, &secrets.key_encryption_key()).await?)
    }

    /// Opens the snapshot store alone, as `check` needs it.
    pub async fn repository(&self) -> Result<Repository, OpenError> {
        self.open_repository(&self.secrets()?).await
    }

    /// Makes a data directory with a first organization, project and key.
    ///
    /// An `init` that was interrupted is finished by the next; one that ended is never undone:
    /// then it fails with `AlreadyInitialised` and changes nothing.
    pub async fn init(
        path: &Path,
        organization: &str,
        project: &str,
        clock: &dyn Clock,
        config: &Config,
    ) -> Result<Initialised, InitError> {
        check_name("project", project).map_err(InitError::InvalidName)?;
        make_private_dir(path)?;
        let data_dir = Self::lock(path)?;
        make_key_file(&path.join("key"))?;
        make_private_dir(&data_dir.snapshots())?;
        let secrets = data_dir.secrets()?;
        let store = Store::local(&data_dir.snapshots()).map_err(OpenError::from)?;
        match Repository::create(store, &secrets.key_encryption_key()).await {
            Err(error) if error.kind() == vault::ErrorKind::Exists => {}
            other => drop(other.map_err(OpenError::from)?),
        }
        let meta = Meta::open(&data_dir.database(), &secrets.seal_key()).await;
        let meta = meta.map_err(OpenError::from)?;
        let made = bootstrap(&meta, organization, project, clock, config).await;
        meta.close().await;
        made.map_err(|error| match error {
            meta::Error::AlreadyInitialised => InitError::AlreadyInitialised(path.to_owned()),
            other => InitError::Bootstrap(other),
        })
    }
}

async fn bootstrap(
    meta: &Meta,
    organization: &str,
    project: &str,
    clock: &dyn Clock,
    config: &Config,
) -> Result<Initialised, meta::Error> {
    let now = clock.now();
    let organization = Organization {
        id: OrgId::generate(now, entropy::bytes()),
        name: organization.to_owned(),
        created_at: now,
    };
    let project = Project {
        id: ProjectId::generate(now, entropy::bytes()),
        org_id: organization.id,
        name: project.to_owned(),
        created_at: now,
        cluster_count: 0,
    };
    let roles = vec![
        RoleAssignment::Org(organization.id, Role::OrgOwner),
        RoleAssignment::Project(project.id, Role::GroupOwner),
    ];
    let (key, ha1) = keys::generate(config, organization.id, "made by regrow init", roles, now);
    meta.bootstrap(&organization, &project, &key.key, &ha1, now)
        .await?;
    Ok(Initialised {
        organization,
        project,
        key,
    })
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Io {
        doing,
        path,
        source,
    }
}

fn make_private_dir(path: &Path) -> Result<(), OpenError> {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.map_err(io_error("create", path))
}

/// Writes a new key under a temporary name and links it in whole, unless there is one.
fn make_key_file(path: &Path) -> Result<(), OpenError> {
    if path.exists() {
        return Ok(());
    }
    let temporary = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        for byte in entropy::bytes::<KEY_BYTES>() {
            write!(file, "{byte:02x}")?;
        }
        writeln!(file)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(io_error("write", path))
}
