//! The allocators, each behind its feature: a type and the value that is its `static`.

macro_rules! contender {
    ($(#[$when:meta])+ $module:ident: $type:ty = $value:expr) => {
        $(#[$when])+
        #[doc = concat!("`", stringify!($module), "`.")]
        pub mod $module {
            /// Its type.
            pub type Contender = $type;
            /// What a program declares as its `static`.
            pub const CONTENDER: Contender = $value;
        }
    };
}

contender!(#[cfg(feature = "pymalloc")] pymalloc: pymalloc::PyMalloc = pymalloc::PyMalloc);
contender!(#[cfg(any(feature = "mimalloc2", feature = "mimalloc3"))] mimalloc: mimalloc::MiMalloc = mimalloc::MiMalloc);
contender!(#[cfg(feature = "jemalloc")] jemalloc: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc);
contender!(#[cfg(feature = "snmalloc")] snmalloc: snmalloc_rs::SnMalloc = snmalloc_rs::SnMalloc);
contender!(#[cfg(feature = "rpmalloc")] rpmalloc: rpmalloc::RpMalloc = rpmalloc::RpMalloc);
contender!(#[cfg(feature = "tcmalloc")] tcmalloc: tcmalloc_better::TCMalloc = tcmalloc_better::TCMalloc);
contender!(#[cfg(feature = "rallocator")] rallocator: rallocator::Rallocator = rallocator::Rallocator);
contender!(#[cfg(feature = "sefer")] sefer: sefer_alloc::SeferAlloc = sefer_alloc::SeferAlloc::new());
contender!(#[cfg(feature = "ferroc")] ferroc: ferroc::Ferroc = ferroc::Ferroc);
