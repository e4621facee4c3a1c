//! A tar written into memory, from which it is taken in pieces as it fills, and what each piece is
//! compressed to: a gzip member of its own, so that pieces can be compressed side by side. One
//! member behind the other is a gzip file (RFC 1952). Pieces depend on the archive's bytes alone,
//! not on how these were written.

use std::io::{self, Write};

use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};

/// Bytes of the archive in one piece; all but the last have exactly so many.
const PIECE_BYTES: usize = 1 << 20;

const RECORD_BYTES: u64 = 512;

/// Two empty records end an archive.
const END: [u8; 1024] = [0; 1024];

/// Longest path that fits a header's own field.
const PATH_BYTES_MAX: usize = 100;

/// An archive under construction.
pub(super) struct Tarball {
    plain: Vec<u8>,
    mtime: u64,
    /// Bytes of the present member not yet written.
    left: u64,
    /// Zeros that fill its last record.
    padding: u64,
}

impl Tarball {
    /// Begins an archive whose members all carry `mtime`, in seconds since the epoch.
    pub(super) fn new(mtime: u64) -> Self {
        Self {
            plain: Vec::new(),
            mtime,
            left: 0,
            padding: 0,
        }
    }

    /// Begins a file of exactly `size` bytes.
    pub(super) fn begin(&mut self, path: &str, size: u64) {
        if path.len() >= PATH_BYTES_MAX {
            self.long_name(path);
        }
        let cut = path.floor_char_boundary(PATH_BYTES_MAX - 1);
        let header = self.header(&path[..cut], EntryType::Regular, size);
        self.plain.extend_from_slice(header.as_bytes());
        self.left = size;
        self.padding = size.next_multiple_of(RECORD_BYTES) - size;
    }

    /// Writes a member that gives the next one its name, as GNU tar does.
    fn long_name(&mut self, path: &str) {
        let size = path.len() as u64 + 1;
        let header = self.header("././@LongLink", EntryType::GNULongName, size);
        self.plain.extend_from_slice(header.as_bytes());
        self.plain.extend_from_slice(path.as_bytes());
        self.zeros(size.next_multiple_of(RECORD_BYTES) - path.len() as u64);
    }

    fn zeros(&mut self, count: u64) {
        let count = usize::try_from(count).expect("less than two records are filled");
        self.plain.resize(self.plain.len() + count, 0);
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
        self.plain.extend_from_slice(bytes);
        Ok(())
    }

    /// Ends the file begun.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if self.left != 0 {
            return Err(io::Error::other("a file is shorter than announced"));
        }
        self.zeros(self.padding);
        Ok(())
    }

    /// Takes the next piece, once it is full.
    pub(super) fn take(&mut self) -> Option<Vec<u8>> {
        if self.plain.len() < PIECE_BYTES {
            return None;
        }
        let rest = self.plain.split_off(PIECE_BYTES);
        Some(std::mem::replace(&mut self.plain, rest))
    }

    /// Ends the archive and returns the pieces that are left.
    pub(super) fn finish(mut self) -> Vec<Vec<u8>> {
        self.plain.extend_from_slice(&END);
        self.plain.chunks(PIECE_BYTES).map(<[u8]>::to_vec).collect()
    }
}

/// Compresses a piece.
pub(super) fn compress(piece: &[u8]) -> io::Result<Vec<u8>> {
    let compressed = Vec::with_capacity(piece.len() / 2);
    let mut member = GzBuilder::new()
        .mtime(0)
        .write(compressed, Compression::fast());
    member.write_all(piece)?;
    member.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::MultiGzDecoder;

    use super::*;

    /// Returns the pieces of an archive of one file that is written so many bytes at a time.
    fn pieces(content: &[u8], at_a_time: usize) -> Vec<Vec<u8>> {
        let mut tarball = Tarball::new(7);
        let mut pieces = Vec::new();
        tarball.begin("file", content.len() as u64);
        for part in content.chunks(at_a_time) {
            tarball.write(part).unwrap();
            pieces.extend(std::iter::from_fn(|| tarball.take()));
        }
        tarball.end().unwrap();
        pieces.extend(tarball.finish());
        pieces
    }

    #[test]
    fn pieces_follow_from_the_content_alone_and_are_one_archive() {
        let content: Vec<u8> = (0..=250).cycle().take(3 * PIECE_BYTES + 100).collect();
        let all = pieces(&content, 1_000);
        assert_eq!(all, pieces(&content, 2 * PIECE_BYTES));
        assert_eq!(all.len(), 4);
        let mut archive = Vec::new();
        for piece in &all {
            archive.extend(compress(piece).unwrap());
        }
        let mut found = Vec::new();
        let mut archive = tar::Archive::new(MultiGzDecoder::new(&archive[..]));
        let mut file = archive.entries().unwrap().next().unwrap().unwrap();
        file.read_to_end(&mut found).unwrap();
        assert!(found == content, "the file is not what was written");
    }

    #[test]
    fn a_file_of_another_length_is_an_error() {
        let mut tarball = Tarball::new(7);
        tarball.begin("file", 3);
        tarball.write(b"ab").unwrap();
        assert!(tarball.end().is_err());
        assert!(tarball.write(b"cd").is_err());
    }
}
