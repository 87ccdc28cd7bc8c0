//! Files for `tracemalloc`'s loader: chunks with any content, and right check sums, since
//! wrong ones would end the reading early.

use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::{AsRawFd, FromRawFd};

use arbitrary::{Result, Unstructured};
use tracemalloc::{KeyType, LoadError, Snapshot};

const HEAD: &[u8] = b"\x89TMAL\r\n\x1a\x01\0";
const TAGS: [&[u8; 4]; 12] = [
    b"META", b"MODS", b"THRD", b"STKS", b"TRCE", b"TIME", b"HEAP", b"NAME", b"FRAM", b"SYMB",
    b"DONE", b"NEWS",
];
const MOST_CHUNKS: usize = 40;

/// Loads a file that the bytes describe, uses what is in it, writes it and loads it again.
pub fn trace_files(program: &[u8]) {
    let file = file_of(&mut Unstructured::new(program));
    if let Ok(snapshot) = Snapshot::read_from(&file[..]) {
        look_at(&snapshot);
        let written = written(&snapshot);
        let again = Snapshot::read_from(&written[..]).expect("what was written is whole");
        assert_eq!(format!("{again:?}"), format!("{snapshot:?}"));
        assert_eq!(self::written(&again), written);
    } else if let Ok((snapshot, damage)) = recover(&file) {
        assert!(damage.is_some(), "recovered whole, though it does not load");
        look_at(&snapshot);
    }
}

fn file_of(bytes: &mut Unstructured<'_>) -> Vec<u8> {
    let mut file = HEAD.to_vec();
    // A head that can be read most of the time: else nothing of the rest would be.
    chunk(&mut file, TAGS[0], &[1, 0, 9, 9, 9, 9, 9, 9]);
    for _ in 0..MOST_CHUNKS {
        let Ok((tag, payload)) = tag_and_payload(bytes) else {
            break;
        };
        chunk(&mut file, tag, payload);
    }
    if !bytes.arbitrary().unwrap_or(false) {
        chunk(&mut file, b"DONE", &[]);
    }
    file
}

fn tag_and_payload<'a>(bytes: &mut Unstructured<'a>) -> Result<(&'static [u8; 4], &'a [u8])> {
    if bytes.is_empty() {
        return Err(arbitrary::Error::NotEnoughData);
    }
    let tag = *bytes.choose(&TAGS)?;
    let length = usize::from(bytes.arbitrary::<u8>()?).min(bytes.len());
    Ok((tag, bytes.bytes(length)?))
}

fn chunk(file: &mut Vec<u8>, tag: &[u8; 4], payload: &[u8]) {
    let start = file.len();
    file.extend(tag);
    file.extend((payload.len() as u32).to_le_bytes());
    file.extend(payload);
    let sum = crc32fast::hash(&file[start..]);
    file.extend(sum.to_le_bytes());
}

fn written(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    snapshot.write_to(&mut bytes).expect("a vector takes all");
    bytes
}

fn look_at(snapshot: &Snapshot) {
    for key in KeyType::ALL {
        for statistic in snapshot.statistics(key, true) {
            drop(statistic.to_string());
        }
        drop(snapshot.compare_to(snapshot, key, false));
    }
    for trace in snapshot.traces().iter() {
        drop(trace.to_string());
    }
}

/// What there was of a file, and what was wrong with it.
type Recovered = std::result::Result<(Snapshot, Option<LoadError>), LoadError>;

/// `Snapshot::recover` wants a path: that of a file in memory.
fn recover(bytes: &[u8]) -> Recovered {
    // SAFETY: the name is a C string.
    let descriptor = unsafe { libc::memfd_create(c"snapshot".as_ptr(), libc::MFD_CLOEXEC) };
    assert!(descriptor >= 0, "memfd_create");
    // SAFETY: the descriptor is new, and nobody else's.
    let mut file = unsafe { File::from_raw_fd(descriptor) };
    file.write_all(bytes).expect("a file in memory takes all");
    file.rewind().expect("it can be read from the start");
    Snapshot::recover(format!("/proc/self/fd/{}", file.as_raw_fd()))
}
