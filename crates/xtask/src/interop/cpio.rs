//! An initramfs: an archive in the format `newc`, not compressed (that takes the guest longer than it saves).

use std::{fs, path::Path};

use super::Result;

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;

/// An archive that is being written.
#[derive(Default)]
pub(super) struct Archive {
    octets: Vec<u8>,
    directories: Vec<String>,
    entries: u32,
}

impl Archive {
    /// Adds the directories up to and with `path` (`/usr/sbin`).
    pub(super) fn directory(&mut self, path: &str) {
        for (at, _) in path.match_indices('/').skip(1).chain([(path.len(), "")]) {
            let name = &path[..at];
            if !name.is_empty() && !self.directories.iter().any(|known| known == name) {
                self.directories.push(name.to_owned());
                self.entry(name, DIRECTORY, &[]);
            }
        }
    }

    /// Adds a file that may be run.
    pub(super) fn file(&mut self, path: &str, content: &[u8]) {
        if let Some((directory, _)) = path.rsplit_once('/') {
            self.directory(directory);
        }
        self.entry(path, PROGRAM, content);
    }

    /// Adds a file of this machine.
    pub(super) fn copy(&mut self, path: &str, from: &Path) -> Result<()> {
        let content = fs::read(from).map_err(|e| format!("{}: {e}", from.display()))?;
        self.file(path, &content);
        Ok(())
    }

    /// The octets of the archive.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("/TRAILER!!!", 0, &[]);
        self.octets
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) {
        let name = path.trim_start_matches('/');
        self.entries += 1;
        // Inode, mode, owner, group, links, time, size, two device numbers of two parts, length of the
        // name with its end, checksum.
        let (size, name_size) = (content.len() as u32, name.len() as u32 + 1);
        let fields = [self.entries, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        self.octets.extend(b"070701");
        for field in fields {
            self.octets.extend(format!("{field:08x}").bytes());
        }
        self.octets.extend(name.bytes());
        self.octets.push(0);
        self.align();
        self.octets.extend(content);
        self.align();
    }

    fn align(&mut self) {
        self.octets.resize(self.octets.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_directories_come_first() {
        let mut archive = Archive::default();
        archive.file("/usr/bin/a", b"12345");
        archive.file("/usr/bin/b", b"");
        let octets = archive.finish();
        assert_eq!(octets.len() % 4, 0);
        let text = String::from_utf8_lossy(&octets);
        assert_eq!(text.matches("070701").count(), 5, "usr, usr/bin, a, b, the trailer");
        let at = |name: &str| text.find(name).unwrap();
        assert!(at("usr\0") < at("usr/bin\0") && at("usr/bin\0") < at("usr/bin/a\0"));
        assert_eq!(at("12345") % 4, 0);
    }
}
