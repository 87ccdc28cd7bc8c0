//! Standard error without allocation: a line at a time, from a buffer on the stack.

use core::fmt;

use crate::os;

/// Collects what is written and passes it on when the buffer is full, or dropped.
#[derive(Debug)]
pub(crate) struct Stderr {
    buffer: [u8; 512],
    len: usize,
}

impl Stderr {
    /// An empty buffer.
    pub(crate) fn new() -> Self {
        Self {
            buffer: [0; 512],
            len: 0,
        }
    }

    fn flush(&mut self) {
        os::write_stderr(self.buffer.get(..self.len).unwrap_or_default());
        self.len = 0;
    }
}

impl fmt::Write for Stderr {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for part in text.as_bytes().chunks(self.buffer.len()) {
            if self.len + part.len() > self.buffer.len() {
                self.flush();
            }
            if let Some(room) = self.buffer.get_mut(self.len..self.len + part.len()) {
                room.copy_from_slice(part);
                self.len += part.len();
            }
        }
        Ok(())
    }
}

impl Drop for Stderr {
    fn drop(&mut self) {
        self.flush();
    }
}
