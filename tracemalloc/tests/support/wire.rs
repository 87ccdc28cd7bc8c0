//! Reads protocol buffers as their encoding is specified, knowing no message.

/// A message's fields in order: number and value.
pub(crate) struct Message<'a>(Vec<(u64, Field<'a>)>);

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Message<'a> {
    pub(crate) fn parse(mut bytes: &'a [u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = varint(&mut bytes);
            let field = match key & 7 {
                0 => Field::Number(varint(&mut bytes)),
                2 => {
                    let length = varint(&mut bytes) as usize;
                    let (value, rest) = bytes.split_at(length);
                    bytes = rest;
                    Field::Bytes(value)
                }
                kind => panic!("wire type {kind}"),
            };
            fields.push((key >> 3, field));
        }
        Self(fields)
    }

    /// A number; 0 if it is not there.
    pub(crate) fn number(&self, wanted: u64) -> u64 {
        let mut found = 0;
        for (number, field) in &self.0 {
            if let (true, Field::Number(value)) = (*number == wanted, field) {
                found = *value;
            }
        }
        found
    }

    /// All strings, or messages, of a number.
    pub(crate) fn all(&self, wanted: u64) -> impl Iterator<Item = &'a [u8]> {
        self.0
            .iter()
            .filter_map(move |(number, field)| match field {
                Field::Bytes(bytes) if *number == wanted => Some(*bytes),
                _ => None,
            })
    }

    pub(crate) fn messages(&self, wanted: u64) -> impl Iterator<Item = Message<'a>> {
        self.all(wanted).map(Message::parse)
    }

    /// Repeated numbers, in one field.
    pub(crate) fn packed(&self, wanted: u64) -> Vec<u64> {
        let mut numbers = Vec::new();
        for mut bytes in self.all(wanted) {
            while !bytes.is_empty() {
                numbers.push(varint(&mut bytes));
            }
        }
        numbers
    }
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let mut n = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        n |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    n
}
