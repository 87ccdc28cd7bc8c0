//! Writes a file beside the one it is to replace.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Has `write` fill a file, which then takes the place of whatever is at `path`: who opens that
/// finds all of the old file, or all of the new one. After an error the old one is still there.
///
/// A link stays one, to the new file; the new file has the old one's permissions. What is no
/// file, such as a pipe or `/dev/stdout`, is written to as it is.
pub(super) fn replace(path: &Path, write: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let old = match fs::metadata(path) {
        Ok(old) if old.is_file() => Some(old),
        Ok(_) => return write(&File::create(path)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    // What a link points to; a link to nothing is replaced itself.
    let path = match &old {
        Some(_) => fs::canonicalize(path)?,
        None => path.to_path_buf(),
    };
    let (part, file) = create_beside(&path)?;
    let written = write(&file)
        .and_then(|()| old.map_or(Ok(()), |old| file.set_permissions(old.permissions())))
        .and_then(|()| fs::rename(&part, &path));
    if written.is_err() {
        // The error says enough, whether or not this succeeds.
        let _ = fs::remove_file(&part);
    }
    written
}

/// A new file in the same folder, `memory.tmal.4711-0.part`: another process, or one that had the
/// same number, may have left files there.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    loop {
        let mut part = OsString::from(name);
        // ORDERING: Relaxed; no number is given twice, and nothing else hangs on it.
        let number = NEXT.fetch_add(1, Relaxed);
        part.push(format!(".{}-{number}.part", std::process::id()));
        let part = path.with_file_name(part);
        match OpenOptions::new().write(true).create_new(true).open(&part) {
            Ok(file) => return Ok((part, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// An empty folder of the test's own.
    fn folder(name: &str) -> PathBuf {
        let name = format!("tracemalloc-replace-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        folder
    }

    fn names_in(folder: &Path) -> Vec<OsString> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn the_old_file_is_whole_until_the_new_one_is() {
        let folder = folder("whole");
        let path = folder.join("a");
        replace(&path, |mut file| file.write_all(b"old")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        replace(&path, |mut file| {
            file.write_all(b"new")?;
            assert_eq!(fs::read(&path)?, b"old");
            Ok(())
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(names_in(&folder), ["a"]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn an_error_leaves_the_old_file_and_no_other() {
        let folder = folder("error");
        let path = folder.join("a");
        fs::write(&path, "old").unwrap();
        let full = |mut file: &File| {
            file.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        };
        let error = replace(&path, full).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names_in(&folder), ["a"]);
        let missing = replace(&folder.join("no/a"), |_| Ok(())).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = folder("link");
        let (path, link) = (folder.join("a"), folder.join("b"));
        fs::write(&path, "old").unwrap();
        symlink("a", &link).unwrap();
        replace(&link, |mut file| file.write_all(b"new")).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"new");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_device_is_written_to() {
        replace(Path::new("/dev/null"), |mut file| file.write_all(b"gone")).unwrap();
        let is_file = fs::metadata("/dev/null").unwrap().is_file();
        assert!(!is_file);
    }

    #[test]
    fn what_another_process_left_stays() {
        let folder = folder("left");
        let path = folder.join("a");
        for number in 0..50 {
            let left = format!("a.{}-{number}.part", std::process::id());
            fs::write(folder.join(left), "left").unwrap();
        }
        replace(&path, |mut file| file.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names_in(&folder).len(), 51);
        fs::remove_dir_all(&folder).unwrap();
    }
}
