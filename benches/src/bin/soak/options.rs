//! What the command line asks for.

/// How long, and by how many.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) seconds: u64,
    pub(crate) threads: usize,
}

impl Options {
    pub(crate) const USAGE: &str = "usage: soak [--seconds N] [--threads N]
  --seconds N   how long; 60 unless given
  --threads N   how many threads at a time; 4 unless given";

    /// Reads the arguments.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            seconds: 60,
            threads: 4,
        };
        while let Some(name) = arguments.next() {
            let value = arguments.next();
            let number = value.as_deref().and_then(|value| value.parse().ok());
            match (name.as_str(), number) {
                ("--seconds", Some(number @ 1..)) => options.seconds = number,
                ("--threads", Some(number @ 1..=64)) => options.threads = number as usize,
                ("--seconds" | "--threads", _) => {
                    return Err(format!("{name} wants a number: of threads at most 64"));
                }
                _ => return Err(format!("unknown: {name}")),
            }
        }
        Ok(options)
    }
}
