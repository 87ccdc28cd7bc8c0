//! Words that say little about a text: articles, pronouns, keywords.
//!
//! What is a stop-word depends on the language (`die` is an article in German
//! and a verb in English), so the language of each document is found first, by
//! counting which list fits it best.

/// What a document is written in, as far as stop-words are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English prose.
    English,
    /// German prose.
    German,
    /// French prose.
    French,
    /// Rust or TOML with English comments.
    Code,
}

const ENGLISH: &[&str] = &[
    "a", "about", "after", "again", "all", "already", "also", "an", "and", "another", "any", "are",
    "aren't", "as", "at", "be", "because", "been", "before", "being", "below", "between", "both",
    "but", "by", "can", "can't", "cannot", "could", "did", "do", "does", "doesn't", "don't",
    "each", "either", "else", "even", "ever", "every", "for", "from", "had", "has", "have", "he",
    "her", "here", "him", "his", "how", "i", "if", "in", "into", "is", "isn't", "it", "it's",
    "its", "itself", "just", "may", "me", "might", "more", "most", "much", "must", "my", "neither",
    "no", "nor", "not", "now", "of", "off", "on", "once", "one", "only", "or", "other", "our",
    "out", "over", "own", "per", "same", "shall", "she", "should", "so", "some", "still", "such",
    "than", "that", "the", "their", "them", "then", "there", "these", "they", "this", "those",
    "through", "to", "too", "two", "under", "until", "up", "upon", "us", "very", "was", "we",
    "were", "what", "when", "where", "whether", "which", "while", "who", "whom", "whose", "why",
    "will", "with", "without", "would", "yet", "you", "your",
];

const GERMAN: &[&str] = &[
    "aber", "alle", "allem", "allen", "aller", "alles", "als", "also", "am", "an", "auch", "auf",
    "aus", "bei", "beim", "bin", "bis", "da", "damit", "dann", "das", "dass", "daß", "dem", "den",
    "denn", "der", "des", "dich", "die", "dies", "diese", "diesem", "diesen", "dieser", "dieses",
    "dir", "doch", "dort", "du", "durch", "ein", "eine", "einem", "einen", "einer", "eines", "er",
    "es", "etwas", "euch", "euer", "für", "gegen", "habe", "haben", "hat", "hatte", "hatten",
    "hier", "hin", "ich", "ihm", "ihn", "ihnen", "ihr", "ihre", "ihrem", "ihren", "ihrer", "im",
    "in", "ins", "ist", "ja", "jede", "jedem", "jeden", "jeder", "jedes", "kann", "kein", "keine",
    "keinem", "keinen", "keiner", "können", "man", "mehr", "mein", "meine", "mich", "mir", "mit",
    "muss", "muß", "müssen", "nach", "nicht", "nichts", "noch", "nun", "nur", "ob", "oder", "ohne",
    "schon", "sehr", "sein", "seine", "seinem", "seinen", "seiner", "selbst", "sich", "sie",
    "sind", "so", "soll", "sollen", "sondern", "sonst", "um", "und", "uns", "unser", "unter",
    "vom", "von", "vor", "war", "waren", "was", "weil", "wenn", "wer", "werde", "werden", "wie",
    "wieder", "will", "wir", "wird", "wirst", "wo", "wollen", "worden", "wurde", "wurden",
    "während", "zu", "zum", "zur", "zwischen", "über",
];

const FRENCH: &[&str] = &[
    "ai", "ainsi", "alors", "as", "au", "aussi", "autre", "autres", "aux", "avait", "avant",
    "avec", "avoir", "avons", "beaucoup", "bien", "c", "car", "ce", "cela", "celle", "celui",
    "ces", "cet", "cette", "ceux", "chaque", "chez", "comme", "comment", "d", "dans", "de",
    "depuis", "des", "dont", "du", "elle", "elles", "en", "encore", "entre", "est", "et", "eu",
    "eux", "fait", "fut", "il", "ils", "j", "je", "jusqu", "l", "la", "le", "les", "leur", "leurs",
    "lorsqu", "lorsque", "lui", "là", "m", "ma", "mais", "me", "mes", "moi", "moins", "mon",
    "même", "n", "ne", "ni", "non", "nos", "notre", "nous", "on", "ont", "ou", "où", "par", "pas",
    "peu", "peut", "plus", "pour", "puis", "qu", "quand", "que", "qui", "s", "sa", "sans", "se",
    "ses", "si", "son", "sont", "sous", "sur", "t", "ta", "te", "tes", "toi", "ton", "tous",
    "tout", "toute", "toutes", "tu", "un", "une", "vers", "vos", "votre", "vous", "y", "à", "été",
    "être",
];

const CODE: &[&str] = &[
    "as", "assert", "async", "await", "bool", "break", "cfg", "clippy", "const", "continue",
    "crate", "derive", "dyn", "else", "enum", "eq", "err", "expect", "extern", "f32", "f64",
    "false", "fn", "for", "i32", "i64", "if", "impl", "in", "isize", "let", "loop", "match", "mod",
    "move", "mut", "ne", "new", "none", "ok", "pub", "ref", "return", "self", "some", "static",
    "std", "str", "string", "struct", "super", "test", "trait", "true", "type", "u16", "u32",
    "u64", "u8", "unwrap", "use", "usize", "vec", "where", "while",
];

/// Bytes of a text that are looked at to find its language.
const SAMPLE_BYTES: usize = 64 * 1024;

impl Language {
    /// The language of a document from its name and its text.
    #[must_use]
    pub fn detect(name: &str, text: &str) -> Self {
        if name.ends_with(".rs") || name.ends_with(".toml") {
            return Self::Code;
        }
        let mut hits = [(Self::English, 0), (Self::German, 0), (Self::French, 0)];
        let mut key = String::new();
        let sample = &text[..text.floor_char_boundary(SAMPLE_BYTES)];
        for word in sample.lines().flat_map(crate::words::Words::new) {
            crate::words::fold_into(word.text, &mut key);
            for (language, hits) in &mut hits {
                *hits += usize::from(language.lists(&key));
            }
        }
        // English wins a tie: it stands first, and later ones must beat it.
        let [mut best, rest @ ..] = hits;
        for candidate in rest {
            if candidate.1 > best.1 {
                best = candidate;
            }
        }
        best.0
    }

    /// Whether `word`, folded, is a stop-word in this language.
    ///
    /// Single letters always are.
    #[must_use]
    pub fn is_stop_word(self, word: &str) -> bool {
        word.chars().nth(1).is_none() || self.lists(word)
    }

    fn lists(self, word: &str) -> bool {
        let has = |list: &[&str]| list.binary_search(&word).is_ok();
        match self {
            Self::English => has(ENGLISH),
            Self::German => has(GERMAN),
            Self::French => has(FRENCH),
            Self::Code => has(CODE) || has(ENGLISH),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_sorted_for_binary_search() {
        for list in [ENGLISH, GERMAN, FRENCH, CODE] {
            for pair in list.windows(2) {
                assert!(pair[0] < pair[1], "{pair:?}");
            }
        }
    }

    #[test]
    fn language_is_found_from_the_text() {
        let detect = |text| Language::detect("a.txt", text);
        assert_eq!(
            detect("the cat and the dog are not in the house"),
            Language::English
        );
        assert_eq!(
            detect("der Hund und die Katze sind nicht im Haus"),
            Language::German
        );
        assert_eq!(
            detect("le chien et le chat ne sont pas dans la maison"),
            Language::French
        );
        assert_eq!(detect(""), Language::English);
        assert_eq!(Language::detect("src/a.rs", "und die der"), Language::Code);
    }

    #[test]
    fn an_article_in_one_language_is_a_word_in_another() {
        assert!(Language::German.is_stop_word("die"));
        assert!(!Language::English.is_stop_word("die"));
        assert!(Language::Code.is_stop_word("match"));
        assert!(!Language::English.is_stop_word("match"));
        assert!(Language::English.is_stop_word("ß"), "single letters");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "ä".repeat(SAMPLE_BYTES);
        assert_eq!(
            Language::detect("a", &format!("x{text}")),
            Language::English
        );
    }
}
