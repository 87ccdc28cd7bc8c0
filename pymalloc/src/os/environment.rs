//! The variables of the environment, also before the C library knows them.
//!
//! A block may be wanted before the C library has been told of the environment, which is in its
//! constructor: by the loader, by the functions of a program's `.preinit_array`, by a library
//! that is initialised first. `getenv` has nothing then.
//!
//! ```text
//!  the C library knows ─────────────────▶ getenv
//!  not yet ─ this library is loaded now ─▶ what the loader passes to constructors
//!          ─ or will be ─────────────────▶ /proc/self/environ
//!          ─ or was (`clearenv`) ────────▶ nothing
//! ```

use core::ffi::{CStr, c_char, c_int};
use core::ptr::null_mut;
use core::sync::atomic::Ordering::Relaxed;
use core::sync::atomic::{AtomicBool, AtomicPtr};

unsafe extern "C" {
    /// The C library's list, which ends with null; null before there is one.
    static mut environ: List;
}

type List = *const *const c_char;

/// What the loader passed, while this library is being loaded.
static PASSED: AtomicPtr<*const c_char> = AtomicPtr::new(null_mut());
/// Whether this library was loaded, or is being.
static IS_LOADED: AtomicBool = AtomicBool::new(false);

/// Calls `f` when this library is loaded; the loader passed this list, or null.
pub(crate) fn with_passed(list: List, f: impl FnOnce()) {
    // ORDERING: Relaxed, here and below: no thread but this one is here yet, or the C library
    // has a list.
    PASSED.store(list.cast_mut(), Relaxed);
    IS_LOADED.store(true, Relaxed);
    f();
    PASSED.store(null_mut(), Relaxed);
}

/// Calls `f` with the value of a variable; `None` if it is not set.
pub(crate) fn env<R>(name: &CStr, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
    // SAFETY: a pointer that the C library has set, or will.
    let known = unsafe { environ };
    if known.is_null() {
        if IS_LOADED.load(Relaxed) {
            return from_list(PASSED.load(Relaxed), name).map(f);
        }
        // Whoever wants a block expects no error of a file.
        let errno = super::errno();
        let result = from_kernel(name, f);
        super::set_errno(errno);
        return result;
    }
    // SAFETY: a C string; the answer is a C string or null.
    let value = unsafe { libc::getenv(name.as_ptr()) };
    // SAFETY: null, or a C string that outlives the call.
    (!value.is_null()).then(|| f(unsafe { CStr::from_ptr(value) }.to_bytes()))
}

/// The value in a list as `environ`; `None` in a list that is null.
fn from_list(mut list: List, name: &CStr) -> Option<&'static [u8]> {
    while !list.is_null() {
        // SAFETY: the list goes on up to the null that ends it.
        let entry = unsafe { *list };
        if entry.is_null() {
            break;
        }
        // SAFETY: the loader's strings live as long as the process.
        let entry: &'static CStr = unsafe { CStr::from_ptr(entry) };
        let value = value_of(entry.to_bytes(), name);
        if value.is_some() {
            return value;
        }
        // SAFETY: as above.
        list = unsafe { list.add(1) };
    }
    None
}

/// The value, if `NAME=VALUE` is this variable.
fn value_of<'a>(entry: &'a [u8], name: &CStr) -> Option<&'a [u8]> {
    entry.strip_prefix(name.to_bytes())?.strip_prefix(b"=")
}

/// The same of what the kernel gave the process. Of a long value it is the start alone.
fn from_kernel<R>(name: &CStr, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
    let path = c"/proc/self/environ".as_ptr();
    // SAFETY: a C string.
    let file = unsafe { libc::open(path, libc::O_RDONLY | libc::O_CLOEXEC) };
    if file < 0 {
        return None;
    }
    let mut entry = Entry::default();
    while entry.read(file) {
        if let Some(value) = value_of(entry.text(), name) {
            close(file);
            return Some(f(value));
        }
    }
    close(file);
    None
}

fn close(file: c_int) {
    // SAFETY: opened above, and no longer used.
    unsafe { libc::close(file) };
}

/// One variable of a file of them, each of which ends with a zero; and what was read ahead.
struct Entry {
    text: [u8; 256],
    len: usize,
    chunk: [u8; 512],
    chunk_at: usize,
    chunk_len: usize,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            text: [0; 256],
            len: 0,
            chunk: [0; 512],
            chunk_at: 0,
            chunk_len: 0,
        }
    }
}

impl Entry {
    /// Reads the next one; false at the end.
    fn read(&mut self, file: c_int) -> bool {
        self.len = 0;
        while let Some(byte) = self.next_byte(file) {
            if byte == 0 {
                return true;
            }
            if let Some(place) = self.text.get_mut(self.len) {
                *place = byte;
                self.len += 1;
            }
        }
        self.len > 0
    }

    fn next_byte(&mut self, file: c_int) -> Option<u8> {
        if self.chunk_at == self.chunk_len {
            // SAFETY: the buffer is writable, and that long.
            let read =
                unsafe { libc::read(file, self.chunk.as_mut_ptr().cast(), self.chunk.len()) };
            self.chunk_at = 0;
            self.chunk_len = usize::try_from(read).unwrap_or(0);
        }
        let chunk = self.chunk.get(..self.chunk_len)?;
        let byte = *chunk.get(self.chunk_at)?;
        self.chunk_at += 1;
        Some(byte)
    }

    fn text(&self) -> &[u8] {
        self.text.get(..self.len).unwrap_or_default()
    }
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_and_the_c_library_say_the_same() {
        // Set by cargo, and by whoever starts a test.
        for name in [c"CARGO_MANIFEST_DIR", c"PATH", c"HOME"] {
            let start = |value: &[u8]| value[..value.len().min(200)].to_vec();
            assert_eq!(from_kernel(name, start), env(name, start), "{name:?}");
        }
        assert_eq!(from_kernel(c"PYMALLOC_NOT_SET", <[u8]>::len), None);
    }

    #[test]
    fn a_name_is_a_whole_name() {
        assert_eq!(value_of(b"A=1=2", c"A"), Some(&b"1=2"[..]));
        assert_eq!(value_of(b"A=", c"A"), Some(&b""[..]));
        assert_eq!(value_of(b"AB=1", c"A"), None);
        assert_eq!(value_of(b"A", c"A"), None);
        let list = [c"AB=1".as_ptr(), c"A=2".as_ptr(), core::ptr::null()];
        assert_eq!(from_list(list.as_ptr(), c"A"), Some(&b"2"[..]));
        assert_eq!(from_list(list.as_ptr(), c"B"), None);
    }
}
