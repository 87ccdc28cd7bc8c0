use cyclegc::Trace;

#[derive(Trace)]
#[trace(skip)]
struct OnTheType;

#[derive(Trace)]
struct OnTheField {
    #[trace(leaf)]
    field: u8,
}

#[derive(Trace)]
#[trace(leaf, tracked)]
struct Both;

fn main() {}
