//! Chunks: a tag, a length, a payload, a check sum.

use std::io::{self, Read, Write};

use super::LoadError;

/// What a chunk holds.
pub(super) type Tag = [u8; 4];

pub(super) const META: Tag = *b"META";
pub(super) const MODULES: Tag = *b"MODS";
pub(super) const THREADS: Tag = *b"THRD";
pub(super) const STACKS: Tag = *b"STKS";
pub(super) const TRACES: Tag = *b"TRCE";
pub(super) const TIMELINE: Tag = *b"TIME";
pub(super) const HEAP: Tag = *b"HEAP";
pub(super) const NAMES: Tag = *b"NAME";
pub(super) const FRAMES: Tag = *b"FRAM";
pub(super) const SYMBOLS: Tag = *b"SYMB";
pub(super) const DONE: Tag = *b"DONE";

/// A writer begins a new chunk at about this size.
pub(super) const WANTED_BYTES: usize = 1 << 18;
/// No writer makes a larger one, so whatever says it is larger is damaged.
pub(super) const MOST_BYTES: u32 = 1 << 30;

/// Writes one chunk.
pub(super) fn write(writer: &mut impl Write, tag: Tag, payload: &[u8]) -> io::Result<()> {
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|&length| length <= MOST_BYTES)
        .ok_or_else(|| io::Error::other("a part of the snapshot is larger than a gigabyte"))?;
    let mut crc = crc32fast::Hasher::new();
    for part in [&tag[..], &length.to_le_bytes(), payload] {
        crc.update(part);
        writer.write_all(part)?;
    }
    writer.write_all(&crc.finalize().to_le_bytes())
}

/// A file's chunks, one after the other, with the place of each.
pub(super) struct Chunks<R> {
    reader: R,
    offset: u64,
}

/// A chunk whose check sum is right.
pub(super) struct Chunk {
    pub(super) tag: Tag,
    pub(super) payload: Vec<u8>,
    /// Where in the file it starts.
    pub(super) offset: u64,
}

impl<R: Read> Chunks<R> {
    pub(super) const fn new(reader: R) -> Self {
        Self { reader, offset: 0 }
    }

    /// The next bytes; fails if there are fewer.
    pub(super) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], LoadError> {
        let mut bytes = [0; N];
        let mut read = 0;
        while read < N {
            match self.reader.read(&mut bytes[read..]) {
                Ok(0) => {
                    self.offset += read as u64;
                    return Err(self.truncated());
                }
                Ok(n) => read += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.offset += N as u64;
        Ok(bytes)
    }

    /// The next chunk. A length is not believed: memory is taken as bytes come.
    pub(super) fn next(&mut self) -> Result<Chunk, LoadError> {
        let offset = self.offset;
        let damaged = |what| LoadError::Damaged { offset, what };
        let tag: Tag = self.fixed()?;
        let length_bytes: [u8; 4] = self.fixed()?;
        let length = u32::from_le_bytes(length_bytes);
        if length > MOST_BYTES {
            return Err(damaged("a length is impossible"));
        }
        let mut payload = Vec::new();
        let read = (&mut self.reader)
            .take(u64::from(length))
            .read_to_end(&mut payload)?;
        self.offset += read as u64;
        if read < length as usize {
            return Err(self.truncated());
        }
        let expected: [u8; 4] = self.fixed()?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&tag);
        crc.update(&length_bytes);
        crc.update(&payload);
        if crc.finalize() != u32::from_le_bytes(expected) {
            return Err(damaged("its check sum is wrong"));
        }
        Ok(Chunk {
            tag,
            payload,
            offset,
        })
    }

    /// How many bytes were read.
    pub(super) const fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) const fn truncated(&self) -> LoadError {
        LoadError::Truncated {
            offset: self.offset,
        }
    }
}
