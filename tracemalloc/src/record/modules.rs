//! What is mapped in the process: the executable and its libraries, with their unwind tables.
//!
//! Read from `dl_iterate_phdr`, outside the hook: it takes the loader's lock.

use std::ffi::{CStr, c_int, c_void};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::slice;

use crate::snapshot::Module;

/// A module, and where its unwind tables lie.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) module: Module,
    /// Whether it is never unloaded: the executable, and what the kernel maps.
    #[cfg_attr(
        not(feature = "framehop"),
        allow(dead_code, reason = "for unwind tables")
    )]
    pub(super) stays: bool,
    /// `.eh_frame_hdr`.
    #[cfg_attr(
        not(feature = "framehop"),
        allow(dead_code, reason = "for unwind tables")
    )]
    pub(super) eh_frame_hdr: Option<&'static [u8]>,
    /// `.eh_frame`, and what follows it in its segment.
    #[cfg_attr(
        not(feature = "framehop"),
        allow(dead_code, reason = "for unwind tables")
    )]
    pub(super) eh_frame: Option<&'static [u8]>,
}

/// The modules of this moment, the executable first.
pub(super) fn loaded() -> Vec<Loaded> {
    let mut modules: Vec<Loaded> = Vec::with_capacity(32);
    let data: *mut Vec<Loaded> = &raw mut modules;
    // SAFETY: the callback gets the vector, which outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(add_module), data.cast()) };
    modules
}

unsafe extern "C" fn add_module(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    data: *mut c_void,
) -> c_int {
    let modules: *mut Vec<Loaded> = data.cast();
    // SAFETY: `loaded` passes its vector, and nobody else has it meanwhile.
    let modules = unsafe { &mut *modules };
    // SAFETY: the loader passes a description that is valid for this call.
    let info = unsafe { &*info };
    if let Some(module) = read(info, modules.is_empty()) {
        modules.push(module);
    }
    0
}

fn read(info: &libc::dl_phdr_info, is_executable: bool) -> Option<Loaded> {
    if info.dlpi_phdr.is_null() {
        return None;
    }
    // SAFETY: the loader says that there are so many headers.
    let headers = unsafe { slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let base = info.dlpi_addr as usize;
    let place = |header: &libc::Elf64_Phdr| {
        let start = base.wrapping_add(header.p_vaddr as usize);
        start..start.wrapping_add(header.p_memsz as usize)
    };
    let of_kind = |kind| headers.iter().filter(move |header| header.p_type == kind);
    let segments = || of_kind(libc::PT_LOAD).map(place);
    let start = segments().map(|segment| segment.start).min()?;
    let end = segments().map(|segment| segment.end).max()?;
    let eh_frame_hdr = of_kind(libc::PT_GNU_EH_FRAME).map(place).next();
    let eh_frame = eh_frame_hdr.clone().and_then(|hdr| {
        let frames = eh_frame_start(bytes(hdr.clone()), hdr.start)?;
        let segment = segments().find(|segment| segment.contains(&frames))?;
        Some(frames..segment.end)
    });
    let build_id = of_kind(libc::PT_NOTE)
        .map(place)
        .find_map(|notes| build_id(bytes(notes)));
    Some(Loaded {
        module: Module {
            path: path(info, is_executable),
            build_id: build_id.unwrap_or_default(),
            base,
            range: start..end,
        },
        stays: is_executable || (start..end).contains(&kernels_own()),
        eh_frame_hdr: eh_frame_hdr.map(bytes),
        eh_frame: eh_frame.map(bytes),
    })
}

/// The bytes of part of a segment. Those of a library that is unloaded must not be looked at
/// after that.
fn bytes(range: Range<usize>) -> &'static [u8] {
    let start = std::ptr::with_exposed_provenance(range.start);
    // SAFETY: the headers say that the loader has mapped them, to be read.
    unsafe { slice::from_raw_parts(start, range.len()) }
}

/// An address in what the kernel maps into each process; 0 if there is nothing.
fn kernels_own() -> usize {
    // SAFETY: a question with a number for an answer.
    unsafe { libc::getauxval(libc::AT_SYSINFO_EHDR) as usize }
}

fn path(info: &libc::dl_phdr_info, is_executable: bool) -> String {
    let name = if info.dlpi_name.is_null() {
        c""
    } else {
        // SAFETY: the loader's name is a C string.
        unsafe { CStr::from_ptr(info.dlpi_name) }
    };
    if name.is_empty() && is_executable {
        let path = std::fs::read_link("/proc/self/exe").unwrap_or_default();
        return String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned();
    }
    String::from_utf8_lossy(name.to_bytes()).into_owned()
}

/// Where `.eh_frame` starts, by the header before its table: a signed offset of four bytes from
/// the field itself, as all linkers write it.
fn eh_frame_start(hdr: &[u8], address: usize) -> Option<usize> {
    const PC_RELATIVE_I32: u8 = 0x1b;
    let [1, PC_RELATIVE_I32, _, _, a, b, c, d, ..] = *hdr else {
        return None;
    };
    let offset = i32::from_le_bytes([a, b, c, d]);
    (address + 4).checked_add_signed(offset as isize)
}

/// The contents of the note that names the build.
fn build_id(mut notes: &[u8]) -> Option<Vec<u8>> {
    const NT_GNU_BUILD_ID: u32 = 3;
    loop {
        let word = |at: usize| Some(u32::from_ne_bytes(notes.get(at..at + 4)?.try_into().ok()?));
        let (name_len, len, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
        let contents = 12 + name_len.next_multiple_of(4);
        if kind == NT_GNU_BUILD_ID && notes.get(12..16) == Some(b"GNU\0") {
            return notes.get(contents..contents + len).map(<[u8]>::to_vec);
        }
        notes = notes.get(contents + len.next_multiple_of(4)..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_comes_first_and_has_its_code_and_tables() {
        let modules = loaded();
        let executable = &modules[0];
        let here: fn() = the_executable_comes_first_and_has_its_code_and_tables;
        assert!(executable.module.range.contains(&(here as usize)));
        let exe = std::env::current_exe().unwrap();
        assert_eq!(executable.module.path, exe.to_str().unwrap());
        assert!(
            executable
                .eh_frame
                .is_some_and(|frames| frames.len() > 1000)
        );
        let libc = modules.iter().find(|loaded| {
            let abort: unsafe extern "C" fn() -> ! = libc::abort;
            loaded.module.range.contains(&(abort as usize))
        });
        assert_eq!(libc.unwrap().module.build_id.len(), 20);
    }

    #[test]
    fn a_note_that_is_cut_short_is_no_build_id() {
        let mut notes = Vec::new();
        for word in [4_u32, 3, 7] {
            notes.extend(word.to_ne_bytes());
        }
        notes.extend(*b"GNU\0abc\0");
        for word in [4_u32, 2, 3] {
            notes.extend(word.to_ne_bytes());
        }
        notes.extend(*b"GNU\0\x12\x34\0\0");
        assert_eq!(build_id(&notes), Some(vec![0x12, 0x34]));
        for len in 0..notes.len() - 2 {
            assert_eq!(build_id(&notes[..len]), None);
        }
    }
}
