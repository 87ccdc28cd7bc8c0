//! `TypeStats`: objects and bytes by type.

use std::collections::BTreeMap;
use std::fmt;

use super::bytes::bytes;
use super::graph::ObjectGraph;
use super::short_type_name;

impl ObjectGraph {
    /// How many objects of each type there were, and their bytes.
    ///
    /// ```
    /// use cyclegc::{Gc, objgraph};
    ///
    /// let list = Gc::new(vec![Gc::new(1), Gc::new(2)]);
    /// assert_eq!(objgraph::snapshot().typestats().get("Vec<Gc<i32>>").count, 1);
    /// # drop(list);
    /// ```
    #[must_use]
    pub fn typestats(&self) -> TypeStats {
        let mut sums = vec![(0, 0); self.types.len()];
        for node in &self.nodes {
            let sum = &mut sums[node.type_number as usize];
            sum.0 += 1;
            sum.1 += node.size_bytes;
        }
        let mut stats = TypeStats::default();
        for (entry, (count, bytes)) in self.types.iter().zip(sums) {
            stats.add(&entry.name, count, bytes);
        }
        stats
    }
}

/// How many objects of each type there are, and their bytes.
///
/// Prints as objgraph's `show_most_common_types`, with the bytes behind.
///
/// ```
/// use cyclegc::{Gc, objgraph};
///
/// let list = Gc::new(vec![Gc::new(1), Gc::new(2)]);
/// let stats = objgraph::typestats();
/// assert_eq!(stats.most_common(1)[0].name, "i32");
/// assert_eq!(stats.top(1).to_string(), "i32  2  48 B\n");
/// # drop(list);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypeStats {
    pub(super) sums: BTreeMap<String, (usize, usize)>,
}

/// The objects of one type in [`TypeStats`].
///
/// ```
/// let none = cyclegc::objgraph::typestats().get("NoSuchType");
/// assert_eq!((none.count, none.bytes), (0, 0));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeCount {
    /// The type, with modules.
    pub name: String,
    /// The number of objects.
    pub count: usize,
    /// Their bytes.
    pub bytes: usize,
}

impl TypeStats {
    pub(crate) fn add(&mut self, name: &str, count: usize, bytes: usize) {
        match self.sums.get_mut(name) {
            Some(sum) => {
                sum.0 += count;
                sum.1 += bytes;
            }
            None => {
                self.sums.insert(name.to_owned(), (count, bytes));
            }
        }
    }

    /// The types with this name, with or without modules, together.
    ///
    /// ```
    /// use cyclegc::{Gc, objgraph};
    ///
    /// let list = Gc::new(vec![Gc::new(1)]);
    /// assert_eq!(objgraph::typestats().get("Vec<Gc<i32>>").count, 1);
    /// # drop(list);
    /// ```
    #[must_use]
    pub fn get(&self, name: &str) -> TypeCount {
        let mut found = TypeCount {
            name: name.to_owned(),
            count: 0,
            bytes: 0,
        };
        for (full, (count, bytes)) in &self.sums {
            if full == name || short_type_name(full) == name {
                found.count += count;
                found.bytes += bytes;
            }
        }
        found
    }

    /// All types, in the order of their names.
    ///
    /// ```
    /// assert_eq!(cyclegc::objgraph::typestats().iter().count(), 0);
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = TypeCount> {
        self.sums.iter().map(|(name, (count, bytes))| TypeCount {
            name: name.clone(),
            count: *count,
            bytes: *bytes,
        })
    }

    /// The types with the most objects, most first.
    ///
    /// ```
    /// assert!(cyclegc::objgraph::typestats().most_common(10).is_empty());
    /// ```
    #[must_use]
    pub fn most_common(&self, limit: usize) -> Vec<TypeCount> {
        let mut rows: Vec<TypeCount> = self.iter().collect();
        rows.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
        rows.truncate(limit);
        rows
    }

    /// Prints only the types with the most objects.
    ///
    /// ```
    /// assert_eq!(cyclegc::objgraph::typestats().top(10).to_string(), "");
    /// ```
    #[must_use]
    pub fn top(&self, limit: usize) -> impl fmt::Display {
        Top(self.most_common(limit))
    }
}

impl fmt::Display for TypeStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Top(self.most_common(usize::MAX)).fmt(f)
    }
}

struct Top(Vec<TypeCount>);

impl fmt::Display for Top {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self
            .0
            .iter()
            .map(|row| short_type_name(&row.name))
            .collect();
        let width = names
            .iter()
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0);
        let counts = self.0.iter().map(|row| row.count.to_string().len()).max();
        let digits = counts.unwrap_or(0);
        for (name, row) in names.iter().zip(&self.0) {
            let (count, bytes) = (row.count, bytes(row.bytes));
            writeln!(f, "{name:<width$}  {count:>digits$}  {bytes}")?;
        }
        Ok(())
    }
}
