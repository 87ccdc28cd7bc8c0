//! Who competes.

use crate::rows::{Kind, Row};

/// Where a contender's program comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The package `programs`: an allocator.
    Programs,
    /// The package `collectors`: handles.
    Collectors,
    /// A script for the `python3` that is installed.
    Python,
}

/// One of those who compete.
#[derive(Debug)]
pub(super) struct Contender {
    /// As the table shows it.
    pub(super) name: &'static str,
    pub(super) source: Source,
    /// The feature that chooses it; none for what needs no crate.
    pub(super) feature: Option<&'static str>,
    /// The crate whose version is shown.
    pub(super) package: Option<&'static str>,
    /// Added to the version where a crate has several of them inside.
    pub(super) note: &'static str,
    /// This repository's own: the others are its rivals.
    pub(super) is_ours: bool,
    /// Two cores build it for minutes.
    pub(super) builds_long: bool,
}

impl Contender {
    pub(super) fn is_interpreter(&self) -> bool {
        self.source == Source::Python
    }

    pub(super) fn competes_in(&self, row: &Row) -> bool {
        match self.source {
            Source::Programs => row.kind != Kind::Gc,
            Source::Collectors => row.kind == Kind::Gc,
            Source::Python => matches!(row.kind, Kind::Gc | Kind::Footprint),
        }
    }
}

const fn allocator(name: &'static str, feature: &'static str, package: &'static str) -> Contender {
    Contender {
        name,
        source: Source::Programs,
        feature: Some(feature),
        package: Some(package),
        note: "",
        is_ours: false,
        builds_long: false,
    }
}

const fn collector(name: &'static str, feature: &'static str, package: &'static str) -> Contender {
    Contender {
        source: Source::Collectors,
        ..allocator(name, feature, package)
    }
}

const fn of_std(name: &'static str, source: Source, feature: Option<&'static str>) -> Contender {
    Contender {
        source,
        feature,
        package: None,
        ..allocator(name, "", "")
    }
}

impl Contender {
    const fn ours(self) -> Self {
        Self {
            is_ours: true,
            ..self
        }
    }

    const fn builds_long(self) -> Self {
        Self {
            builds_long: true,
            ..self
        }
    }

    const fn noted(self, note: &'static str) -> Self {
        Self { note, ..self }
    }
}

/// All of them, ours first.
pub(super) const CONTENDERS: &[Contender] = &[
    allocator("PyMalloc", "pymalloc", "pymalloc").ours(),
    of_std("system", Source::Programs, None),
    allocator("mimalloc3", "mimalloc3", "mimalloc").noted(" with mimalloc 3"),
    allocator("mimalloc2", "mimalloc2", "mimalloc").noted(" with mimalloc 2"),
    allocator("jemalloc", "jemalloc", "tikv-jemallocator"),
    allocator("snmalloc", "snmalloc", "snmalloc-rs"),
    allocator("rpmalloc", "rpmalloc", "rpmalloc"),
    allocator("tcmalloc", "tcmalloc", "tcmalloc-better").builds_long(),
    allocator("rallocator", "rallocator", "rallocator"),
    allocator("sefer", "sefer", "sefer-alloc"),
    allocator("ferroc", "ferroc", "ferroc"),
    collector("cyclegc", "cyclegc", "cyclegc").ours(),
    collector("cyclegc-sync", "cyclegc-sync", "cyclegc")
        .ours()
        .noted(" sync"),
    of_std("Rc", Source::Collectors, None),
    of_std("Arc", Source::Collectors, Some("arc")),
    collector("dumpster", "dumpster", "dumpster").noted(" unsync"),
    collector("dumpster-sync", "dumpster-sync", "dumpster").noted(" sync"),
    collector("rust-cc", "rust-cc", "rust-cc"),
    collector("gcmodule", "gcmodule", "gcmodule"),
    collector("bacon-rajan", "bacon-rajan", "bacon_rajan_cc"),
    collector("gc", "gc", "gc"),
    collector("boa_gc", "boa", "boa_gc"),
    collector("gc-arena", "gc-arena", "gc-arena"),
    of_std("CPython", Source::Python, None),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::ROWS;

    #[test]
    fn names_are_unique_because_programs_are_kept_by_name() {
        for (n, contender) in CONTENDERS.iter().enumerate() {
            let same = |other: &Contender| other.name == contender.name;
            assert!(!CONTENDERS[..n].iter().any(same));
        }
    }

    #[test]
    fn every_row_has_one_of_ours_and_a_rival() {
        for row in ROWS {
            let competing = || {
                CONTENDERS
                    .iter()
                    .filter(|contender| contender.competes_in(row))
            };
            assert!(competing().any(|contender| contender.is_ours));
            assert!(competing().count() > 5, "{}", row.name);
        }
    }
}
