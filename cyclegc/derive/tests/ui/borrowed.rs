use cyclegc::{Gc, Trace};

#[derive(Trace)]
struct Borrows<'a>(&'a u8);

fn main() {
    let byte = 1;
    Gc::new(Borrows(&byte));
}
