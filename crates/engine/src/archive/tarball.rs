//! A gzip-compressed tar written piece by piece into memory, which is taken out as it fills.

use std::io::{self, Write};

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};

const RECORD_BYTES: u64 = 512;

/// Two empty records end an archive.
const END: [u8; 1024] = [0; 1024];

/// Longest path that fits a header's own field.
const PATH_BYTES_MAX: usize = 100;

/// An archive under construction.
pub(super) struct Tarball {
    encoder: GzEncoder<Vec<u8>>,
    mtime: u64,
    /// Bytes of the present member not yet written.
    left: u64,
    /// Zeros that fill its last record.
    padding: u64,
}

impl Tarball {
    /// Begins an archive whose members all carry `mtime`, in seconds since the epoch.
    pub(super) fn new(mtime: u64) -> Self {
        let encoder = GzBuilder::new()
            .mtime(0)
            .write(Vec::new(), Compression::fast());
        Self {
            encoder,
            mtime,
            left: 0,
            padding: 0,
        }
    }

    /// Begins a file of exactly `size` bytes.
    pub(super) fn begin(&mut self, path: &str, size: u64) -> io::Result<()> {
        if path.len() >= PATH_BYTES_MAX {
            self.long_name(path)?;
        }
        let cut = path.floor_char_boundary(PATH_BYTES_MAX - 1);
        let header = self.header(&path[..cut], EntryType::Regular, size);
        self.encoder.write_all(header.as_bytes())?;
        self.left = size;
        self.padding = size.next_multiple_of(RECORD_BYTES) - size;
        Ok(())
    }

    /// Writes a member that gives the next one its name, as GNU tar does.
    fn long_name(&mut self, path: &str) -> io::Result<()> {
        let size = path.len() as u64 + 1;
        let header = self.header("././@LongLink", EntryType::GNULongName, size);
        self.encoder.write_all(header.as_bytes())?;
        self.encoder.write_all(path.as_bytes())?;
        let zeros = size.next_multiple_of(RECORD_BYTES) - path.len() as u64;
        io::copy(&mut io::Read::take(io::repeat(0), zeros), &mut self.encoder)?;
        Ok(())
    }

    fn header(&self, name: &str, kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_gnu();
        let field = &mut header.as_old_mut().name;
        field[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o600);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.mtime);
        header.set_cksum();
        header
    }

    /// Writes the next bytes of the file begun; more than it was said to have is an error.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let left = self.left.checked_sub(bytes.len() as u64);
        self.left = left.ok_or_else(|| io::Error::other("a file is longer than announced"))?;
        self.encoder.write_all(bytes)
    }

    /// Ends the file begun.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if self.left != 0 {
            return Err(io::Error::other("a file is shorter than announced"));
        }
        io::copy(
            &mut io::Read::take(io::repeat(0), self.padding),
            &mut self.encoder,
        )?;
        Ok(())
    }

    /// Takes what has been compressed so far.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.encoder.get_mut())
    }

    /// Ends the archive and takes the rest.
    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        self.encoder.write_all(&END)?;
        self.encoder.finish()
    }
}
