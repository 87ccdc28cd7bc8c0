//! The allocators and tracers, each behind its feature: a `static`, and a `Tracer` that is started
//! with a mode and writes what it has found.

#[cfg(feature = "dhat")]
pub use of_dhat::Tracer;
#[cfg(feature = "jemalloc-prof")]
pub use of_jemalloc::Tracer;
#[cfg(feature = "mimalloc-pprof")]
pub use of_mimalloc::Tracer;
#[cfg(feature = "pprof-alloc")]
pub use of_pprof_alloc::Tracer;
#[cfg(feature = "tracemalloc")]
pub use of_tracemalloc::Tracer;
#[cfg(not(any(
    feature = "dhat",
    feature = "jemalloc-prof",
    feature = "mimalloc-pprof",
    feature = "pprof-alloc",
    feature = "tracemalloc"
)))]
pub use without::Tracer;

#[cfg(feature = "pymalloc")]
#[global_allocator]
static GLOBAL: pymalloc::PyMalloc = pymalloc::PyMalloc;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static GLOBAL: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static GLOBAL: mimalloc_pprof::MiMalloc = mimalloc_pprof::MiMalloc;

/// Modes: a value of `PYMALLOC_TRACE`; with `pointers:` or `tables:` before it, by these.
#[cfg(feature = "tracemalloc")]
mod of_tracemalloc {
    use std::error::Error;
    use std::path::{Path, PathBuf};

    use tracemalloc::{Config, Unwinder};

    pub struct Tracer(PathBuf);

    impl Tracer {
        pub fn start(mode: &str, output: &Path) -> Result<Self, Box<dyn Error>> {
            let (unwinder, value) = match mode.split_once(':') {
                Some(("pointers", value)) => (Unwinder::FramePointers, value),
                Some(("tables", value)) => (Unwinder::Tables, value),
                _ => (Unwinder::Auto, mode),
            };
            let config = Config {
                unwinder,
                ..value.parse()?
            };
            tracemalloc::start_with(config)?;
            Ok(Self(output.to_owned()))
        }

        pub fn finish(self) -> Result<(), Box<dyn Error>> {
            Ok(tracemalloc::take_snapshot()?.dump(&self.0)?)
        }
    }
}

/// One mode: every block, with the frames that dhat keeps unless told otherwise.
#[cfg(feature = "dhat")]
mod of_dhat {
    use std::error::Error;
    use std::path::Path;

    #[global_allocator]
    static GLOBAL: dhat::Alloc = dhat::Alloc;

    pub struct Tracer(dhat::Profiler);

    impl Tracer {
        pub fn start(_mode: &str, output: &Path) -> Result<Self, Box<dyn Error>> {
            Ok(Self(dhat::Profiler::builder().file_name(output).build()))
        }

        pub fn finish(self) -> Result<(), Box<dyn Error>> {
            // Which writes.
            drop(self.0);
            Ok(())
        }
    }
}

/// One mode: what `_RJEM_MALLOC_CONF` said when the program was loaded.
#[cfg(feature = "jemalloc-prof")]
mod of_jemalloc {
    use std::error::Error;
    use std::ffi::CString;
    use std::io;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;
    use std::ptr::null_mut;

    pub struct Tracer(CString);

    impl Tracer {
        pub fn start(_mode: &str, output: &Path) -> Result<Self, Box<dyn Error>> {
            Ok(Self(CString::new(output.as_os_str().as_bytes())?))
        }

        pub fn finish(self) -> Result<(), Box<dyn Error>> {
            let mut name = self.0.as_ptr();
            // SAFETY: `prof.dump` reads a pointer to a text that ends with zero, and no more.
            let error = unsafe {
                tikv_jemalloc_sys::mallctl(
                    c"prof.dump".as_ptr(),
                    null_mut(),
                    null_mut(),
                    (&raw mut name).cast(),
                    size_of_val(&name),
                )
            };
            match error {
                0 => Ok(()),
                error => Err(io::Error::from_raw_os_error(error).into()),
            }
        }
    }
}

/// Modes: the period of samples, in bytes.
#[cfg(feature = "mimalloc-pprof")]
mod of_mimalloc {
    use std::error::Error;
    use std::path::{Path, PathBuf};

    use mimalloc_pprof::prof;

    pub struct Tracer(PathBuf);

    impl Tracer {
        pub fn start(mode: &str, output: &Path) -> Result<Self, Box<dyn Error>> {
            if !prof::start(mode.parse()?) {
                return Err("mimalloc-pprof does not start".into());
            }
            Ok(Self(output.to_owned()))
        }

        pub fn finish(self) -> Result<(), Box<dyn Error>> {
            Ok(prof::dump_proto_file(&self.0)?)
        }
    }
}

/// One mode: the period that `PPROF_ALLOC_SAMPLE_RATE` said when the program was loaded.
#[cfg(feature = "pprof-alloc")]
mod of_pprof_alloc {
    use std::error::Error;
    use std::fs;
    use std::path::{Path, PathBuf};

    use pprof_alloc::PprofAlloc;

    #[global_allocator]
    static GLOBAL: PprofAlloc = PprofAlloc::new().with_pprof_sample_rate_from_env(0);

    pub struct Tracer(PathBuf);

    impl Tracer {
        pub fn start(_mode: &str, output: &Path) -> Result<Self, Box<dyn Error>> {
            Ok(Self(output.to_owned()))
        }

        pub fn finish(self) -> Result<(), Box<dyn Error>> {
            Ok(fs::write(&self.0, pprof_alloc::generate_pprof()?)?)
        }
    }
}

/// An allocator alone.
#[cfg(not(any(
    feature = "dhat",
    feature = "jemalloc-prof",
    feature = "mimalloc-pprof",
    feature = "pprof-alloc",
    feature = "tracemalloc"
)))]
mod without {
    use std::convert::Infallible;
    use std::error::Error;
    use std::path::Path;

    pub struct Tracer(Infallible);

    impl Tracer {
        pub fn start(_mode: &str, _output: &Path) -> Result<Self, Box<dyn Error>> {
            Err("built without a tracer".into())
        }

        pub fn finish(self) -> Result<(), Box<dyn Error>> {
            match self.0 {}
        }
    }
}
