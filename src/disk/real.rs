//! The operating system's files.

use std::fs;
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Advice, FlockOperation, OFlags};

use super::{DIRECT_BLOCK, Disk, File, Lock};
use crate::base::{Error, Result};

/// The disk of the machine.
#[derive(Clone, Copy, Debug)]
pub struct RealDisk {
    /// Whether a sync is one. Without, a crash of the machine loses and damages what a crash of
    /// the process does not.
    pub fsync: bool,
}

impl Default for RealDisk {
    fn default() -> RealDisk {
        RealDisk { fsync: true }
    }
}

impl RealDisk {
    fn file(&self, file: fs::File, path: &Path) -> Box<dyn File> {
        Box::new(RealFile {
            fsync: self.fsync,
            file,
            path: path.to_owned(),
        })
    }
}

impl Disk for RealDisk {
    fn create_dir(&self, path: &Path) -> Result<()> {
        let made = fs::DirBuilder::new().mode(0o700).create(path);
        made.map_err(named("create directory", path))
    }

    fn is_private(&self, path: &Path) -> Result<bool> {
        let metadata = fs::metadata(path).map_err(named("stat", path))?;
        // As in PostgreSQL the group may look.
        Ok(metadata.permissions().mode() & 0o027 == 0)
    }

    fn make_private(&self, path: &Path) -> Result<()> {
        let private = fs::Permissions::from_mode(0o700);
        fs::set_permissions(path, private).map_err(named("change the mode of", path))
    }

    fn create(&self, path: &Path) -> Result<Box<dyn File>> {
        let file = options()
            .create_new(true)
            .open(path)
            .map_err(named("create", path))?;
        Ok(self.file(file, path))
    }

    fn open(&self, path: &Path) -> Result<Box<dyn File>> {
        let file = options().open(path).map_err(named("open", path))?;
        Ok(self.file(file, path))
    }

    fn open_to_read(&self, path: &Path) -> Result<Box<dyn File>> {
        let file = fs::File::open(path).map_err(named("open", path))?;
        Ok(self.file(file, path))
    }

    fn open_direct(&self, path: &Path) -> Result<Box<dyn File>> {
        let direct = OFlags::DIRECT.bits().cast_signed();
        match options().custom_flags(direct).open(path) {
            Ok(file) if takes_direct_blocks(&file) => Ok(self.file(file, path)),
            _ => self.open(path),
        }
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        if !self.fsync {
            return Ok(());
        }
        let dir = fs::File::open(path).map_err(named("open directory", path))?;
        dir.sync_all().map_err(named("sync directory", path))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).map_err(|source| {
            Error::io(
                format!("rename {} to {}", from.display(), to.display()),
                source,
            )
        })
    }

    fn remove(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).map_err(named("remove", path))
    }

    fn list(&self, path: &Path) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path).map_err(named("list", path))? {
            let name = entry.map_err(named("list", path))?.file_name();
            names.extend(name.into_string().ok());
        }
        Ok(names)
    }

    fn exists(&self, path: &Path) -> Result<bool> {
        path.try_exists().map_err(named("look for", path))
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        let file = options()
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(named("open", path))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Box::new(RealLock { _file: file })),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let why = "another server is running on this data directory";
                Err(named("lock", path)(io::Error::new(
                    io::ErrorKind::WouldBlock,
                    why,
                )))
            }
            Err(errno) => Err(named("lock", path)(errno.into())),
        }
    }
}

/// Whether blocks of [`DIRECT_BLOCK`] bytes are large enough for the device: reads tell, too.
fn takes_direct_blocks(file: &fs::File) -> bool {
    let mut bytes = vec![0; 2 * DIRECT_BLOCK];
    let aligned = bytes.as_ptr().align_offset(DIRECT_BLOCK);
    file.read_at(&mut bytes[aligned..aligned + DIRECT_BLOCK], 0)
        .is_ok()
}

fn options() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

fn named<'a>(operation: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::io(format!("{operation} {}", path.display()), source)
}

struct RealFile {
    fsync: bool,
    file: fs::File,
    path: PathBuf,
}

impl RealFile {
    fn named<'a>(&'a self, operation: &'a str) -> impl FnOnce(io::Error) -> Error + 'a {
        named(operation, &self.path)
    }
}

impl File for RealFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.file.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(n) => done += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.named("read")(e)),
            }
        }
        Ok(done)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        // The standard library continues after EINTR and short writes.
        let written = self.file.write_all_at(bytes, offset);
        written.map_err(self.named("write"))
    }

    fn size(&self) -> Result<u64> {
        let metadata = self.file.metadata().map_err(self.named("stat"))?;
        Ok(metadata.len())
    }

    fn set_size(&self, bytes: u64) -> Result<()> {
        self.file.set_len(bytes).map_err(self.named("resize"))
    }

    fn sync_data(&self) -> Result<()> {
        if !self.fsync {
            return Ok(());
        }
        self.file.sync_data().map_err(self.named("sync"))
    }

    fn sync_all(&self) -> Result<()> {
        if !self.fsync {
            return Ok(());
        }
        self.file.sync_all().map_err(self.named("sync"))
    }

    fn forget_cached(&self, offset: u64, len: u64) -> Result<()> {
        let Some(len) = NonZeroU64::new(len) else {
            return Ok(());
        };
        rustix::fs::fadvise(&self.file, offset, Some(len), Advice::DontNeed)
            .map_err(|errno| self.named("forget the cache of")(errno.into()))
    }
}

/// `flock` holds as long as the descriptor is open.
struct RealLock {
    _file: fs::File,
}

impl Lock for RealLock {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_directories_are_private_to_the_servers_user() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("data");
        RealDisk::default().create_dir(&dir).unwrap();
        RealDisk::default().create(&dir.join("f")).unwrap();
        let mode = |p: &Path| fs::metadata(p).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&dir), 0o700);
        assert_eq!(mode(&dir.join("f")), 0o600);
    }

    #[test]
    fn a_second_server_on_a_directory_is_refused_and_a_stale_lock_file_is_not_in_the_way() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("lock");
        let first = RealDisk::default().lock(&path).unwrap();
        let second = RealDisk::default().lock(&path).err().unwrap().to_string();
        assert!(second.contains("another server is running"), "{second}");
        drop(first);
        RealDisk::default().lock(&path).unwrap();
    }

    #[test]
    fn reads_stop_at_the_end_and_writes_extend_the_file() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("f");
        let file = RealDisk::default().create(&path).unwrap();
        file.write_all_at(b"tail", 6).unwrap();
        let mut buffer = [9; 16];
        assert_eq!(file.read_at(&mut buffer, 0).unwrap(), 10);
        assert_eq!(&buffer[..10], b"\0\0\0\0\0\0tail");
        assert_eq!(file.read_at(&mut buffer, 10).unwrap(), 0);
        file.set_size(7).unwrap();
        assert_eq!(file.size().unwrap(), 7);
        file.sync_data().unwrap();
        file.forget_cached(0, 7).unwrap();
        RealDisk::default().sync_dir(temp.path()).unwrap();
        RealDisk::default()
            .rename(&path, &temp.path().join("g"))
            .unwrap();
        assert_eq!(RealDisk::default().list(temp.path()).unwrap(), ["g"]);
        assert!(!RealDisk::default().exists(&path).unwrap());
    }

    #[test]
    fn an_error_names_the_operation_and_the_path() {
        let error = RealDisk::default()
            .open(Path::new("/nonexistent/file"))
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.starts_with("could not open /nonexistent/file: "),
            "{error}"
        );
    }
}
