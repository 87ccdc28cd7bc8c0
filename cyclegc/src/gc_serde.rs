//! `Serialize` and `Deserialize`: a handle is written as its value.
//!
//! As with `Rc`, sharing is not kept: a value that two handles refer to is
//! written twice, and a cycle does not end.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::gc::Gc;
use crate::sync::Gc as SharedGc;
use crate::trace::Trace;

macro_rules! as_value {
    ($gc:ident of $($bound:ident)+) => {
        impl<T: ?Sized + Serialize> Serialize for $gc<T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                (**self).serialize(serializer)
            }
        }

        impl<'de, T: $($bound +)+ Deserialize<'de>> Deserialize<'de> for $gc<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                T::deserialize(deserializer).map($gc::new)
            }
        }

        impl<'de> Deserialize<'de> for $gc<str> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer).map($gc::from)
            }
        }

        impl<'de, T: $($bound +)+ Deserialize<'de>> Deserialize<'de> for $gc<[T]> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Vec::deserialize(deserializer).map($gc::from_values)
            }
        }
    };
}

as_value! { Gc of Trace }
as_value! { SharedGc of Trace Send Sync }
