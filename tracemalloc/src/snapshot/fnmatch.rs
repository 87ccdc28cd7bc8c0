//! Python's `fnmatch`: shell patterns in which `*` matches any characters, `/` among them.

/// Whether the whole of `name` matches `pattern`: `*`, `?`, `[abc]`, `[a-z]`, `[!abc]`.
///
/// There are no errors: what is no valid range matches itself (CPython: `fnmatch.fnmatchcase`).
pub(crate) fn fnmatch(name: &str, pattern: &str) -> bool {
    let tokens = tokens(pattern);
    let name: Vec<char> = name.chars().collect();
    // Where to go on if what follows the last star does not match: one character further.
    let mut retry: Option<(usize, usize)> = None;
    let (mut t, mut n) = (0, 0);
    loop {
        match tokens.get(t) {
            Some(Token::Star) => {
                retry = Some((t + 1, n));
                t += 1;
                continue;
            }
            Some(token) if name.get(n).is_some_and(|&c| token.matches(c)) => {
                t += 1;
                n += 1;
                continue;
            }
            None if n == name.len() => return true,
            _ => {}
        }
        match retry {
            Some((after_star, start)) if start < name.len() => {
                retry = Some((after_star, start + 1));
                (t, n) = (after_star, start + 1);
            }
            _ => return false,
        }
    }
}

enum Token {
    Star,
    Any,
    Char(char),
    Set {
        ranges: Vec<(char, char)>,
        negated: bool,
    },
}

impl Token {
    fn matches(&self, c: char) -> bool {
        match self {
            Self::Star => false,
            Self::Any => true,
            Self::Char(wanted) => *wanted == c,
            Self::Set { ranges, negated } => {
                ranges.iter().any(|&(low, high)| low <= c && c <= high) != *negated
            }
        }
    }
}

fn tokens(pattern: &str) -> Vec<Token> {
    let chars: Vec<char> = pattern.chars().collect();
    let mut tokens = Vec::with_capacity(chars.len());
    let mut i = 0;
    while let Some(&c) = chars.get(i) {
        i += 1;
        tokens.push(match c {
            '*' => Token::Star,
            '?' => Token::Any,
            '[' => match set(&chars[i..]) {
                Some((set, length)) => {
                    i += length;
                    set
                }
                None => Token::Char('['),
            },
            c => Token::Char(c),
        });
    }
    tokens
}

/// The set that begins `chars`, behind its bracket, and how long it is with the closing one.
fn set(chars: &[char]) -> Option<(Token, usize)> {
    let negated = chars.first() == Some(&'!');
    let start = usize::from(negated);
    // A bracket that comes first is one of the set.
    let end = (start + 1..chars.len()).find(|&i| chars[i] == ']')?;
    let mut ranges = Vec::new();
    let mut i = start;
    while i < end {
        if i + 2 < end && chars[i + 1] == '-' {
            ranges.push((chars[i], chars[i + 2]));
            i += 3;
        } else {
            ranges.push((chars[i], chars[i]));
            i += 1;
        }
    }
    Some((Token::Set { ranges, negated }, end + 1))
}

#[cfg(test)]
mod tests {
    use super::fnmatch;

    #[test]
    fn a_star_matches_separators_too() {
        assert!(fnmatch("/home/a/src/lib.rs", "*/lib.rs"));
        assert!(fnmatch("abcabd", "*abd"));
        assert!(!fnmatch("abc", "*abd"));
        assert!(fnmatch("", "**"));
        assert!(!fnmatch("", "?"));
    }

    #[test]
    fn sets_match_one_character() {
        assert!(fnmatch("a1", "a[0-9]"));
        assert!(!fnmatch("a1", "a[!0-9]"));
        assert!(fnmatch("a]", "a[]]"));
        assert!(fnmatch("a[", "a["));
        assert!(fnmatch("[x", "[x"));
    }
}
