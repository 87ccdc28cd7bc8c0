use cyclegc::{Gc, Trace};

#[derive(Trace)]
struct Noisy(Option<Gc<Noisy>>);

impl Drop for Noisy {
    fn drop(&mut self) {}
}

fn main() {}
