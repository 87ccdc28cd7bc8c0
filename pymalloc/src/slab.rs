//! Memory for the allocator's own records: members, and the map of large blocks.
//!
//! Records come from mappings of 64 KiB, a multiple of every page size, and are never
//! given back: their users keep lists of idle ones. Each slab is guarded by its user's
//! lock.

use core::marker::PhantomData;
use core::ptr::NonNull;

use crate::os;

const CHUNK: usize = 64 << 10;

/// Room for records of type `T`.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    /// The part of the newest chunk that was never used.
    rest: Option<NonNull<u8>>,
    rest_bytes: usize,
    chunks: usize,
    of: PhantomData<*mut T>,
}

impl<T> Slab<T> {
    /// No memory yet.
    pub(crate) const fn new() -> Self {
        const { assert!(align_of::<T>() <= 4096 && size_of::<T>() <= CHUNK) }
        Self {
            rest: None,
            rest_bytes: 0,
            chunks: 0,
            of: PhantomData,
        }
    }

    /// A record, for good; `None` if memory has run out.
    pub(crate) fn add(&mut self, record: T) -> Option<&'static T> {
        if self.rest_bytes < size_of::<T>() {
            self.rest = Some(os::map_aligned(CHUNK, 4096)?);
            self.rest_bytes = CHUNK;
            self.chunks += 1;
        }
        let room = self.rest?;
        // SAFETY: the chunk has that many bytes left.
        self.rest = Some(unsafe { room.add(size_of::<T>()) });
        self.rest_bytes -= size_of::<T>();
        let room: NonNull<T> = room.cast();
        // SAFETY: chunks start at a page, so every record of one type is aligned;
        // nobody knows the room yet.
        unsafe { room.write(record) };
        // SAFETY: just written; slabs are never unmapped.
        Some(unsafe { room.as_ref() })
    }

    /// Bytes mapped.
    #[cfg(not(loom))]
    pub(crate) fn mapped_bytes(&self) -> usize {
        self.chunks * CHUNK
    }

    /// Bytes used, which are resident.
    #[cfg(not(loom))]
    pub(crate) fn used_bytes(&self) -> usize {
        self.mapped_bytes() - self.rest_bytes
    }
}
