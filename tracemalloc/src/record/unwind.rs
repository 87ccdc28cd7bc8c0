//! Stacks by unwind tables, where functions keep no frame pointer: `framehop`.
//!
//! The list of modules is made outside the hook and replaced as a whole; the old ones stay,
//! because a thread may be reading them. A library that came later ends the stacks that lead
//! through it, until [`refresh`] runs again: when tracing starts, and with each snapshot.
//!
//! Libraries whose tables are listed are kept loaded (`RTLD_NOLOAD` counts one more user): their
//! tables are read where they lie. One that is being closed, and cannot be kept, is left out.
//!
//! Each thread has a cache of rules, which `framehop` allocates from the program's allocator: 50
//! KB, once for as many threads as there are at a time.

use std::ffi::{CString, c_void};
use std::ops::Range;
use std::ptr::null_mut;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Mutex, PoisonError};

use framehop::{
    CacheNative, ExplicitModuleSectionInfo, FrameAddress, Module, MustNotAllocateDuringUnwind,
    UnwindRegsNative, Unwinder as _, UnwinderNative,
};

use super::modules::{self, Loaded};
use super::walk::{Registers, read};
use super::{control, memory};
use crate::measure;

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
/// thread is inside the recorder; nor does [`Counted`](crate::Counted) count it.
pub(super) fn new_cache() -> *mut Cache {
    memory::add_used_blocks(CACHE_BYTES);
    measure::uncounted(|| Box::into_raw(Box::new(Cache::new_in())))
}

/// Gives a cache back, which is null or from [`new_cache`], and nobody's any more. What it holds
/// is not looked at.
pub(super) fn drop_cache(cache: *mut Cache) {
    if !cache.is_null() {
        memory::sub_used_blocks(CACHE_BYTES);
        // SAFETY: a box, by the rule above.
        let cache = unsafe { Box::from_raw(cache) };
        measure::uncounted(|| drop(cache));
    }
}

/// About as much as `framehop` allocates for one.
const CACHE_BYTES: usize = 50 << 10;

static TABLES: AtomicPtr<Tables> = AtomicPtr::new(null_mut());

/// Ranges of the modules in the tables. Locked with [`control`] alone, because of forks.
static KNOWN: Mutex<Vec<Range<usize>>> = Mutex::new(Vec::new());

/// Takes in the tables of modules that are new. Outside the hook, and without [`control`]: this
/// waits for the loader's lock, whose owner may run a constructor that waits for `control`.
pub(super) fn refresh(modules: &[Loaded]) {
    let new = of_unknown(modules);
    let kept: Vec<usize> = new
        .into_iter()
        .filter(|loaded| keep_loaded(loaded))
        .map(|loaded| loaded.module.base)
        .collect();
    if kept.is_empty() {
        return;
    }
    // Since it was listed, a library may have been closed, and another loaded in its place.
    let now = modules::loaded();
    let _control = control();
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    // ORDERING: Relaxed; under `control`, as every change is.
    let old = TABLES.load(Relaxed);
    // SAFETY: null, or a box that is never dropped.
    let mut tables = unsafe { old.as_ref() }.cloned().unwrap_or_default();
    for loaded in now {
        let range = &loaded.module.range;
        if known.contains(range) || !kept.contains(&loaded.module.base) {
            continue;
        }
        known.push(range.clone());
        if let Some(module) = module(&loaded) {
            tables.add_module(module);
        }
    }
    // ORDERING: Release publishes the tables; pairs with the loads of the pointer.
    TABLES.store(Box::into_raw(Box::new(tables)), Release);
}

/// Those modules whose tables have not been taken in.
fn of_unknown(modules: &[Loaded]) -> Vec<&Loaded> {
    let _control = control();
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_new = |loaded: &&Loaded| !known.contains(&loaded.module.range);
    modules.iter().filter(is_new).collect()
}

/// Counts one more user of a module, for good; whether that was possible.
fn keep_loaded(loaded: &Loaded) -> bool {
    if loaded.stays {
        return true;
    }
    let Ok(path) = CString::new(loaded.module.path.as_str()) else {
        return false;
    };
    // SAFETY: with this flag nothing is loaded, and no code is run.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
    if handle.is_null() {
        return false;
    }
    let is_kept = base_of(handle) == Some(loaded.module.base);
    if !is_kept {
        // It was closed, and loaded again elsewhere.
        // SAFETY: the handle from above, used no more.
        unsafe { libc::dlclose(handle) };
    }
    is_kept
}

/// Where the loader says that a library lies.
fn base_of(handle: *mut c_void) -> Option<usize> {
    /// The first field of the loader's `struct link_map`.
    #[repr(C)]
    struct LinkMap {
        base: usize,
    }
    let mut map: *const LinkMap = std::ptr::null();
    let place: *mut *const LinkMap = &raw mut map;
    // SAFETY: an open library's handle, and a place for the pointer that this asks for.
    let found = unsafe { libc::dlinfo(handle, libc::RTLD_DI_LINKMAP, place.cast()) };
    if found != 0 {
        return None;
    }
    // SAFETY: null, or the loader's description of the library, which is open.
    unsafe { map.as_ref() }.map(|map| map.base)
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

#[cfg(test)]
mod tests {
    use std::ffi::CStr;
    use std::sync::atomic::AtomicI32;
    use std::thread;
    use std::time::Duration;

    use super::super::c_library::{compile, wait_until};
    use super::super::hooks::stack_here;
    use super::super::unordered::in_two_threads;
    use super::*;

    #[test]
    fn who_finds_tables_can_walk_by_them() {
        in_two_threads(
            || {
                refresh(&modules::loaded());
                1
            },
            |_| assert!(!stack_here(true).is_empty()),
        );
    }

    /// A library that says when it is being closed, and waits until it may end.
    const SLOW: &str = "
        #include <unistd.h>
        volatile int ends = 0, may_end = 0;
        __attribute__((destructor)) static void end(void) {
            ends = 1;
            for (int n = 0; n < 60000 && !may_end; n++) usleep(1000);
        }";

    #[test]
    #[cfg_attr(target_env = "musl", ignore = "there no library is closed")]
    fn a_library_that_is_being_closed_is_not_taken_in() {
        let path = compile("slow", SLOW);
        let name = path.to_str().unwrap();
        let is_listed = || {
            modules::loaded()
                .iter()
                .any(|loaded| loaded.module.path == name)
        };
        let open = || {
            // SAFETY: the library from above, which does no harm.
            let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
            assert!(!handle.is_null());
            handle
        };
        let handle = open();
        let flag = |handle, name: &CStr| -> &'static AtomicI32 {
            // SAFETY: the library's handle, and a name.
            let place = unsafe { libc::dlsym(handle, name.as_ptr()) };
            // SAFETY: a number of the library's, looked at while it is open.
            unsafe { place.cast::<AtomicI32>().as_ref() }.unwrap()
        };
        let (ends, may_end) = (flag(handle, c"ends"), flag(handle, c"may_end"));
        let handle = handle.expose_provenance();
        let step = AtomicI32::new(0);
        let wait_for = |next: i32| wait_until(|| step.load(Relaxed) >= next);
        thread::scope(|scope| {
            scope.spawn(|| {
                // It has begun, for which a thread needs the loader's lock.
                step.store(1, Relaxed);
                wait_until(|| ends.load(Relaxed) != 0);
                step.store(2, Relaxed);
                wait_for(3);
                // Time to take the tables in, for who does not wait.
                thread::sleep(Duration::from_millis(300));
                may_end.store(1, Relaxed);
            });
            scope.spawn(|| {
                wait_for(1);
                // SAFETY: the handle from above.
                unsafe { libc::dlclose(std::ptr::with_exposed_provenance_mut(handle)) };
            });
            wait_for(2);
            let listed = modules::loaded();
            step.store(3, Relaxed);
            refresh(&listed);
        });
        assert!(!is_listed());
        let loaded = modules::loaded();
        let known = KNOWN.lock().unwrap();
        for range in &*known {
            assert!(loaded.iter().any(|loaded| loaded.module.range == *range));
        }
        drop(known);
        // One that stays is taken in, and stays for good.
        let handle = open();
        flag(handle, c"may_end").store(1, Relaxed);
        refresh(&modules::loaded());
        // SAFETY: the handle from above.
        unsafe { libc::dlclose(handle) };
        assert!(is_listed());
        // SAFETY: a path without a zero in it.
        unsafe { libc::unlink(path.as_ptr()) };
    }
}
