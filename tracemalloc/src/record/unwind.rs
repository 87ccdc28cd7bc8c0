//! Stacks by unwind tables, where functions keep no frame pointer: `framehop`.
//!
//! The list of modules is made outside the hook and replaced as a whole; the old ones stay,
//! because a thread may be reading them. A library that came later ends the stacks that lead
//! through it, until [`refresh`] runs again: when tracing starts, and with each snapshot.
//!
//! Libraries whose tables are listed are kept loaded (`RTLD_NOLOAD` counts one more user): their
//! tables are read where they lie.
//!
//! Each thread has a cache of rules, which `framehop` allocates from the program's allocator: 50
//! KB, once for as many threads as there are at a time.

use std::ffi::CString;
use std::ops::Range;
use std::ptr::null_mut;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Release};

use framehop::{
    CacheNative, ExplicitModuleSectionInfo, FrameAddress, Module, MustNotAllocateDuringUnwind,
    UnwindRegsNative, Unwinder as _, UnwinderNative,
};

use super::memory;
use super::modules::Loaded;
use super::walk::{Registers, read};

type Tables = UnwinderNative<&'static [u8], MustNotAllocateDuringUnwind>;

/// A thread's cache of rules.
pub(super) type Cache = CacheNative<MustNotAllocateDuringUnwind>;

/// Bytes of stack that a thread must have left for a walk, and, since its parts are built there,
/// for a new cache; with less it has no frames.
pub(super) const NEEDS_STACK: usize = if cfg!(debug_assertions) {
    128 << 10
} else {
    32 << 10
};
pub(super) const NEW_CACHE_NEEDS_STACK: usize = 256 << 10;

/// A cache for a thread: from the program's allocator, which does not record it, because the
/// thread is inside the recorder.
pub(super) fn new_cache() -> *mut Cache {
    memory::add_used(CACHE_BYTES);
    Box::into_raw(Box::new(Cache::new_in()))
}
/// Gives a cache back, which is null or from [`new_cache`], and nobody's any more. What it holds
/// is not looked at.
pub(super) fn drop_cache(cache: *mut Cache) {
    if !cache.is_null() {
        memory::sub_used(CACHE_BYTES);
        // SAFETY: a box, by the rule above.
        drop(unsafe { Box::from_raw(cache) });
    }
}


/// About as much as `framehop` allocates for one.
const CACHE_BYTES: usize = 50 << 10;

static TABLES: AtomicPtr<Tables> = AtomicPtr::new(null_mut());

/// Ranges of the modules in the tables.
static KNOWN: Mutex<Vec<Range<usize>>> = Mutex::new(Vec::new());

/// Takes in the tables of modules that are new. Outside the hook.
pub(super) fn refresh(modules: &[Loaded]) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if modules
        .iter()
        .all(|loaded| known.contains(&loaded.module.range))
    {
        return;
    }
    let old = TABLES.load(Acquire);
    // SAFETY: null, or a box that is never dropped.
    let mut tables = unsafe { old.as_ref() }.cloned().unwrap_or_default();
    for loaded in modules {
        if known.contains(&loaded.module.range) {
            continue;
        }
        keep_loaded(&loaded.module.path);
        known.push(loaded.module.range.clone());
        if let Some(module) = module(loaded) {
            tables.add_module(module);
        }
    }
    // ORDERING: Release publishes the tables; pairs with the loads of the pointer.
    TABLES.store(Box::into_raw(Box::new(tables)), Release);
}

/// Counts one more user of a library, for good; of the executable it does nothing.
fn keep_loaded(path: &str) {
    if let Ok(path) = CString::new(path)
        && !path.is_empty()
    {
        // SAFETY: with this flag nothing is loaded, and no code is run.
        unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
    }
}

fn module(loaded: &Loaded) -> Option<Module<&'static [u8]>> {
    let base = loaded.module.base as u64;
    let in_file = |bytes: &[u8]| {
        let start = (bytes.as_ptr().addr() as u64).wrapping_sub(base);
        start..start + bytes.len() as u64
    };
    let (hdr, frames) = (loaded.eh_frame_hdr?, loaded.eh_frame?);
    let sections = ExplicitModuleSectionInfo {
        base_svma: 0,
        eh_frame_hdr_svma: Some(in_file(hdr)),
        eh_frame_hdr: Some(hdr),
        eh_frame_svma: Some(in_file(frames)),
        eh_frame: Some(frames),
        ..Default::default()
    };
    let range = &loaded.module.range;
    Some(Module::new(
        loaded.module.path.clone(),
        range.start as u64..range.end as u64,
        base,
        sections,
    ))
}

/// Walks by the tables; how many addresses were found.
pub(super) fn by_tables(
    registers: Registers,
    in_use: &Range<usize>,
    cache: &mut Cache,
    out: &mut [usize],
) -> usize {
    // ORDERING: Acquire receives the tables; pairs with `refresh`.
    let tables = TABLES.load(Acquire);
    // SAFETY: null, or a box that is never dropped.
    let Some(tables) = (unsafe { tables.as_ref() }) else {
        return 0;
    };
    let mut read = |address: u64| {
        read(in_use, address as usize)
            .map(|word| word as u64)
            .ok_or(())
    };
    let mut regs = unwind_registers(registers);
    let mut address = FrameAddress::from_instruction_pointer(registers.ip as u64);
    for (count, place) in out.iter_mut().enumerate() {
        let next = tables.unwind_frame(address, &mut regs, cache, &mut read);
        let Ok(Some(next)) = next else {
            return count;
        };
        let Some(next_address) = FrameAddress::from_return_address(next) else {
            return count;
        };
        *place = next as usize;
        address = next_address;
    }
    out.len()
}

fn unwind_registers(registers: Registers) -> UnwindRegsNative {
    let [sp, fp] = [registers.sp as u64, registers.fp as u64];
    #[cfg(target_arch = "x86_64")]
    return UnwindRegsNative::new(registers.ip as u64, sp, fp);
    #[cfg(target_arch = "aarch64")]
    return UnwindRegsNative::new(registers.link as u64, sp, fp);
}
