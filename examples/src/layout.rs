//! Numbers and lines of text, cut to fit a page.

/// A page is this wide where it can be.
pub(crate) const WIDTH: usize = 80;

/// The part of `line` around `word`, at most `width` wide.
pub(crate) fn excerpt(line: &str, word: &str, width: usize) -> String {
    // A text must not steer the terminal.
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let line: String = line.trim().chars().map(clean).collect();
    let width = width.max(20);
    let letters: Vec<char> = line.chars().collect();
    if letters.len() <= width {
        return line;
    }
    // Lower case may be longer or shorter; near enough to choose a window.
    let lower = line.to_lowercase();
    let at = lower.find(word).map_or(0, |at| lower[..at].chars().count());
    let start = at.saturating_sub(width / 2).min(letters.len() - width);
    let mut window: Vec<char> = letters[start..start + width].to_vec();
    if start > 0 {
        window[0] = '…';
    }
    if start + width < letters.len() {
        window[width - 1] = '…';
    }
    window.into_iter().collect()
}

/// `1 word`, `2 words`.
pub(crate) fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(count))
}

/// `1,234,567`.
pub(crate) fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the unit that reads best.
pub(crate) fn size(size_bytes: usize) -> String {
    match size_bytes {
        0..10_000 => counted(size_bytes, "byte"),
        10_000..1_000_000 => format!("{} kB", size_bytes / 1000),
        _ => format!("{:.1} MB", size_bytes as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_shows_the_word_and_keeps_the_width() {
        let line = format!("{} needle {}", "a ".repeat(60), "b ".repeat(60));
        let part = excerpt(&line, "needle", 40);
        assert!(part.contains("needle"), "{part}");
        assert_eq!(part.chars().count(), 40);
        assert_eq!(excerpt("  short\tline ", "line", 40), "short line");
        assert_eq!(excerpt("red \x1b[31m", "red", 40), "red  [31m");
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(counted(1, "word"), "1 word");
    }
}
