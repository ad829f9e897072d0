//! Foreign bytes for people to read.

/// How much of a refusal's body is told, in characters.
pub(super) const MAX_EXCERPT: usize = 200;

/// Foreign bytes as one short printable line; the tags of HTML are left out.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut line = String::new();
    let mut in_tag = false;
    let mut gap = false;
    let mut count = 0;
    for character in text.chars() {
        match character {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                gap = true;
            }
            _ if in_tag => {}
            _ if character.is_whitespace() || character.is_control() => gap = true,
            _ => {
                if gap && !line.is_empty() {
                    line.push(' ');
                }
                gap = false;
                line.push(character);
                count += 1;
                if count == MAX_EXCERPT {
                    line.push('…');
                    break;
                }
            }
        }
    }
    line
}
