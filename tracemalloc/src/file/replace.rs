//! Writes a file beside the one it is to replace.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Has `write` fill a file, which then takes the place of whatever is at `path`: who opens that
/// finds all of the old file, or all of the new one. After an error the old one is still there.
///
/// A link to a file stays one, to the new file; the new file has the old one's owner and group, as
/// far as they can be given to it, and permissions, or fewer. An access control list (ACL) is not
/// taken over: its mask becomes the group's permissions. Written where it is, without these promises,
/// is what cannot be replaced:
///
/// - what is no regular file, such as a pipe;
/// - what is open already, such as `/dev/stdout` and `/proc/self/fd/3`;
/// - a file in a folder that takes no others, or mounted alone.
pub(crate) fn replace(path: &Path, write: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let old = match fs::metadata(path) {
        Ok(old) if old.is_file() && !is_open_already(path) => Some(old),
        Ok(_) => return write_in_place(path, write),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    // What a link points to; a link to nothing is replaced itself.
    let path = match &old {
        Some(_) => fs::canonicalize(path)?,
        None => path.to_path_buf(),
    };
    let (part, file) = match create_beside(&path, old.as_ref()) {
        Err(error) if old.is_some() && stays(&error) => return write_in_place(&path, write),
        created => created?,
    };
    // Of a full disk, or somebody's share of it, some systems tell no earlier than by `sync_all`.
    let written = write(&file).and_then(|()| file.sync_all());
    let emptied = written.and_then(|()| match fs::rename(&part, &path) {
        Err(error) if old.is_some() && stays(&error) => empty(&path).map(Some),
        renamed => renamed.map(|()| None),
    });
    match &emptied {
        Ok(None) => return Ok(()),
        // If that fails, the part is all there is.
        Ok(Some(emptied)) => copy(&file, emptied).map_err(|error| {
            let kept = part.display();
            io::Error::new(
                error.kind(),
                format!("{error}; what was written is in {kept}"),
            )
        })?,
        Err(_) => {}
    }
    // The error says enough, whether or not this succeeds.
    let _ = fs::remove_file(&part);
    emptied.map(|_| ())
}

/// Whether an error says that no other file can take the place of this one, which may be writable.
fn stays(error: &io::Error) -> bool {
    use io::ErrorKind::{CrossesDevices, PermissionDenied, ReadOnlyFilesystem, ResourceBusy};
    matches!(
        error.kind(),
        CrossesDevices | PermissionDenied | ReadOnlyFilesystem | ResourceBusy
    )
}

/// Whether a path leads through one of the links in `/proc` to what a process has open: the file
/// may be there under no name, or under one that means another by now.
fn is_open_already(path: &Path) -> bool {
    const MOST_LINKS: usize = 40;
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let Ok(folder) = fs::canonicalize(folder) else {
            return false;
        };
        if folder.starts_with("/proc") {
            return true;
        }
        let Ok(target) = fs::read_link(&path) else {
            return false;
        };
        path = folder.join(target);
    }
    false
}

fn write_in_place(path: &Path, write: impl FnOnce(&File) -> io::Result<()>) -> io::Result<()> {
    let file = File::create(path)?;
    write(&file)?;
    if file.metadata()?.is_file() {
        file.sync_all()?;
    }
    Ok(())
}

/// Opens a file for its new contents. After an error it has the old ones.
fn empty(path: &Path) -> io::Result<File> {
    // Without `O_CREAT`, which some systems refuse where the file is another's.
    let file = OpenOptions::new().write(true).open(path)?;
    file.set_len(0)?;
    Ok(file)
}

/// Copies one file's contents into another, which is empty.
fn copy(mut from: &File, mut to: &File) -> io::Result<()> {
    from.rewind()?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()
}

/// A new file in the same folder, `memory.tmal.4711-0.part`, for whoever the old one is for, or
/// fewer. Another process, or one that had the same number, may have left files there.
fn create_beside(path: &Path, old: Option<&Metadata>) -> io::Result<(PathBuf, File)> {
    // Of a long name the start: a file's name has 255 bytes at most.
    const KEPT_BYTES: usize = 100;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let name = OsStr::from_bytes(&name.as_bytes()[..name.len().min(KEPT_BYTES)]);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    if let Some(old) = old {
        options.mode(old.mode() & 0o600);
    }
    loop {
        let mut part = name.to_os_string();
        // ORDERING: Relaxed; no number is given twice, and nothing else hangs on it.
        let number = NEXT.fetch_add(1, Relaxed);
        part.push(format!(".{}-{number}.part", std::process::id()));
        let part = path.with_file_name(part);
        match options.open(&part) {
            Ok(file) => {
                if let Some(old) = old {
                    // What it was created with allows no more: without this it is safe, too.
                    let _ = permit_as(old, &file);
                }
                return Ok((part, file));
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// Gives a new file the group, the permissions and the owner of an old one, as far as this process
/// may.
fn permit_as(old: &Metadata, file: &File) -> io::Result<()> {
    let new = file.metadata()?;
    let has_group = new.gid() == old.gid() || fchown(file, None, Some(old.gid())).is_ok();
    let mode = if has_group {
        old.mode() & 0o777
    } else {
        for_another_group(old.mode())
    };
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    if new.uid() == old.uid() {
        return Ok(());
    }
    fchown(file, Some(old.uid()), None)
}

/// The permissions of a file of another group, which give nobody more: who was in the old group is
/// one of the others now, and some of the others are in the new one.
fn for_another_group(mode: u32) -> u32 {
    let both = (mode >> 3) & mode & 0o7;
    (mode & 0o700) | (both << 3) | both
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::io::Write;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{chown, symlink};

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
        let mode_of = |name| fs::metadata(name).unwrap().permissions().mode() & 0o777;
        replace(&path, |mut file| {
            file.write_all(b"new")?;
            assert_eq!(fs::read(&path)?, b"old");
            // Nor may others read it meanwhile.
            for name in names_in(&folder) {
                assert_eq!(mode_of(folder.join(name)), 0o600);
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(mode_of(path), 0o600);
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
    fn what_is_open_already_is_written_to() {
        let folder = folder("open");
        let path = folder.join("a");
        fs::write(&path, "old").unwrap();
        let open = File::open(&path).unwrap();
        let fd = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
        let link = folder.join("link");
        symlink(&fd, &link).unwrap();
        // By its name, and when it has none any more.
        for (to, text) in [(&link, "by a link"), (&fd, "by its number")] {
            replace(to, |mut file| file.write_all(text.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&fd).unwrap(), text);
            let _ = fs::remove_file(&path);
        }
        assert_eq!(names_in(&folder), ["link"]);
        fs::remove_dir_all(&folder).unwrap();
    }

    /// Calls `f` as a user who may do little; without effect for who is not root.
    fn as_nobody<R: Send>(f: impl FnOnce() -> R + Send) -> R {
        let call = || {
            // This thread's alone.
            // SAFETY: no requirements.
            unsafe { libc::setfsuid(65534) };
            f()
        };
        std::thread::scope(|scope| scope.spawn(call).join().unwrap())
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_file_in_a_folder_that_takes_no_others_is_written_to() {
        let folder = folder("closed");
        let path = folder.join("a");
        fs::write(&path, "old and longer").unwrap();
        set_mode(&path, 0o666);
        set_mode(&folder, 0o555);
        let replaced = as_nobody(|| {
            // Others may not see the test's folder at all.
            let is_seen = File::open(&path).is_ok();
            is_seen.then(|| replace(&path, |mut file| file.write_all(b"new")))
        });
        if let Some(replaced) = replaced {
            replaced.unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new");
        }
        assert_eq!(names_in(&folder), ["a"]);
        set_mode(&folder, 0o755);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_only_its_owner_may_replace_is_written_to() {
        let folder = folder("sticky");
        let path = folder.join("a");
        fs::write(&path, "old and longer").unwrap();
        set_mode(&path, 0o666);
        set_mode(&folder, 0o1777);
        let replaced = as_nobody(|| {
            let is_seen = File::open(&path).is_ok();
            is_seen.then(|| replace(&path, |mut file| file.write_all(b"new")))
        });
        if let Some(replaced) = replaced {
            replaced.unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new");
        }
        assert_eq!(names_in(&folder), ["a"]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_file_that_may_be_neither_replaced_nor_written_to_leaves_no_part() {
        let folder = folder("refused");
        let path = folder.join("a");
        fs::write(&path, "old").unwrap();
        set_mode(&path, 0o444);
        set_mode(&folder, 0o1777);
        // SAFETY: no requirements.
        let is_root = unsafe { libc::geteuid() } == 0;
        let replaced = as_nobody(|| {
            let is_seen = File::open(&path).is_ok();
            is_seen.then(|| replace(&path, |mut file| file.write_all(b"new")))
        });
        // Who is not root owns the file, and replaces it.
        if let (true, Some(replaced)) = (is_root, replaced) {
            let error = replaced.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
            assert_eq!(fs::read(&path).unwrap(), b"old");
        }
        assert_eq!(names_in(&folder), ["a"]);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_new_file_is_for_those_that_the_old_one_was_for() {
        const GROUP: u32 = 54321;
        let folder = folder("group");
        let path = folder.join("a");
        let seen = || fs::metadata(&path).ok();
        for (mode, kept, of_another) in [
            (0o640, 0o640, 0o600),
            (0o664, 0o664, 0o644),
            (0o604, 0o604, 0o600),
            (0o4750, 0o750, 0o700),
        ] {
            assert_eq!(for_another_group(mode), of_another);
            fs::write(&path, "old").unwrap();
            // By who is not root no file can be given away.
            let is_given = chown(&path, Some(GROUP), Some(GROUP)).is_ok();
            set_mode(&path, mode);
            replace(&path, |_| Ok(())).unwrap();
            let new = seen().unwrap();
            assert_eq!(new.mode() & 0o7777, kept, "{mode:o}");
            assert!(!is_given || (new.uid(), new.gid()) == (GROUP, GROUP));
            // Nobody may replace it, and is not in its group.
            set_mode(&folder, 0o777);
            let replaced = as_nobody(|| seen().map(|_| replace(&path, |_| Ok(()))));
            if let (true, Some(replaced)) = (is_given, replaced) {
                replaced.unwrap();
                let new = seen().unwrap();
                assert_eq!(new.mode() & 0o7777, of_another, "{mode:o}");
                assert_ne!((new.uid(), new.gid()), (GROUP, GROUP));
            }
            fs::remove_file(&path).unwrap();
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_cannot_be_renamed_is_copied() {
        let folder = folder("copy");
        let (part, path) = (folder.join("part"), folder.join("a"));
        fs::write(&part, "new").unwrap();
        fs::write(&path, "old and longer").unwrap();
        copy(&File::open(&part).unwrap(), &empty(&path).unwrap()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        for (errno, expected) in [
            (libc::EXDEV, true),
            (libc::EBUSY, true),
            (libc::EPERM, true),
            (libc::ENOSPC, false),
        ] {
            assert_eq!(stays(&io::Error::from_raw_os_error(errno)), expected);
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_name_may_be_as_long_as_names_may_be() {
        let folder = folder("long");
        let path = folder.join("ä".repeat(127));
        for text in ["old", "new"] {
            replace(&path, |mut file| file.write_all(text.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(names_in(&folder).len(), 1);
        fs::remove_dir_all(&folder).unwrap();
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
