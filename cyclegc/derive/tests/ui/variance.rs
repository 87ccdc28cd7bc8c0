use cyclegc::{Gc, Weak, WeakValueMap, into_dyn};

type Any = for<'a> fn(&'a str);
type Static = fn(&'static str);

fn shorter<'a>(gc: Gc<&'static str>) -> Gc<&'a str> {
    gc
}

fn supertype(gc: Gc<Any>) -> Gc<Static> {
    gc
}

fn weak<'a>(weak: Weak<&'static str>) -> Weak<&'a str> {
    weak
}

fn map<'a>(map: WeakValueMap<u8, &'static str>) -> WeakValueMap<u8, &'a str> {
    map
}

fn coerced(gc: Gc<Any>) -> Gc<Static> {
    into_dyn!(gc => Static)
}

fn main() {}
