//! What can be a reaction: one emoji.

use icu_properties::CodePointSetData;
use icu_properties::props::{Emoji, ExtendedPictographic};

use super::limits::MAX_EMOJI_BYTES;

const JOINER: char = '\u{200d}';
const REGIONAL: std::ops::RangeInclusive<char> = '\u{1f1e6}'..='\u{1f1ff}';

/// Whether a text is one emoji: a sequence as Unicode's UTS #51 has it ("possible emoji", 1.4.9), which may be of many
/// code points. What a later Unicode adds is taken too: the code points reserved for pictures are known.
#[must_use]
pub fn is_emoji(text: &str) -> bool {
    text.len() <= MAX_EMOJI_BYTES && text.split(JOINER).all(is_element)
}

fn is_element(text: &str) -> bool {
    let mut rest = text.chars();
    match rest.next() {
        None => false,
        // A flag is two letters.
        Some(first) if REGIONAL.contains(&first) => {
            rest.next().is_some_and(|second| REGIONAL.contains(&second)) && rest.next().is_none()
        }
        Some('0'..='9' | '#' | '*') => matches!(rest.as_str(), "\u{20e3}" | "\u{fe0f}\u{20e3}"),
        Some(first) => is_picture(first) && is_tail(rest.as_str()),
    }
}

fn is_picture(letter: char) -> bool {
    CodePointSetData::new::<Emoji>().contains(letter)
        || CodePointSetData::new::<ExtendedPictographic>().contains(letter)
}

/// What may follow a picture: that it is one, the colour of its skin, the region of its flag.
fn is_tail(text: &str) -> bool {
    let text = text.strip_prefix('\u{fe0f}').unwrap_or(text);
    let text = text.strip_prefix(|letter| ('\u{1f3fb}'..='\u{1f3ff}').contains(&letter)).unwrap_or(text);
    let Some(tags) = text.strip_suffix('\u{e007f}') else { return text.is_empty() };
    !tags.is_empty() && tags.chars().all(|tag| ('\u{e0020}'..='\u{e007e}').contains(&tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_emoji_of_however_many_code_points_is_one() {
        for emoji in [
            "👍",
            "👍🏽",
            "❤",
            "❤️",
            "❤️‍🔥",
            "☝🏿",
            "☝️",
            "🇩🇪",
            "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
            "🏳️‍🌈",
            "1️⃣",
            "#⃣",
            "👨‍👩‍👧‍👦",
            "👩🏻‍❤️‍💋‍👨🏼",
            "🏃🏽‍♀️‍➡️",
            "🐦‍⬛",
            "©️",
            "™",
            "🏻",
            "🫩",
            "🥹",
            "‼️",
            "⌚",
            "🀄",
            "🃏",
            "ℹ️",
            "㊗️",
        ] {
            assert!(is_emoji(emoji), "{emoji} {emoji:?}");
        }
    }

    #[test]
    fn anything_else_is_none() {
        for text in [
            "",
            " ",
            "a",
            "ok",
            "1",
            "#",
            "12",
            "1️",
            "👍👍",
            "👍 ",
            " 👍",
            "👍a",
            "a👍",
            "🇩",
            "🇩🇪🇫",
            "🇩🇪🇫🇷",
            "\u{200d}",
            "👍\u{200d}",
            "\u{200d}👍",
            "👨\u{200d}\u{200d}👩",
            "👨\u{200d}a",
            "\u{fe0f}",
            "❤\u{fe0e}",
            "👍🏽🏽",
            "🏴\u{e007f}",
            "é",
            "ß",
            "漢",
            "→",
            "✓",
            "\u{0}",
            "👍\u{0}",
            "👍\n",
            "👍\u{301}",
            ":+1:",
            "<3",
            "\u{202e}👍",
            "\u{20e3}",
        ] {
            assert!(!is_emoji(text), "{text} {text:?}");
        }
        // Joined without end, as no keyboard makes them.
        assert!(is_emoji(&["👍"; 9].join("\u{200d}")));
        assert!(!is_emoji(&["👍"; 10].join("\u{200d}")));
    }
}
