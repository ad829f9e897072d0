//! A bounded JSON scanner (RFC 8259) that checks a whole message and picks out a few fields, without a tree.
//!
//! It accepts what a strict parser accepts: any order of keys, white space, escapes in keys and values. A key that comes
//! twice counts as it came last, as in Python and serde_json. Half a surrogate pair is refused, since no UTF-8 can carry it.

#[cfg(test)]
mod tests;

use std::fmt;

/// Values may be nested this deep; the wire formats of agents need five levels.
pub const MAX_DEPTH: usize = 32;

/// How many different fields one [`Paths`] can look for.
pub const MAX_FIELDS: usize = 32;

/// Why a text is not JSON that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonError {
    /// Bytes from the start of the text.
    pub offset: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a JSON text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// The grammar of RFC 8259 doesn't allow this byte here, or the text ends too early.
    Syntax,
    /// A bad escape, or half of a surrogate pair.
    Escape,
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = match self.problem {
            Problem::Syntax => "not JSON",
            Problem::Escape => "a bad escape in a JSON string",
            Problem::TooDeep => "JSON nested too deep",
        };
        write!(f, "{problem} at byte {}", self.offset)
    }
}

impl std::error::Error for JsonError {}

/// A string of the scanned text as it stands there, without its quotes. Its escapes have been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawStr<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> RawStr<'a> {
    /// The characters, if the string has no escapes.
    pub fn plain(self) -> Option<&'a str> {
        (!self.escaped).then_some(self.raw)
    }

    /// The characters, put into `scratch` only if there are escapes.
    pub fn text<'s>(self, scratch: &'s mut String) -> &'s str
    where
        'a: 's,
    {
        if !self.escaped {
            return self.raw;
        }
        scratch.clear();
        scratch.extend(self.chars());
        scratch
    }

    /// Whether its characters are those of `other`.
    pub fn equals(self, other: &str) -> bool {
        if self.escaped {
            self.chars().eq(other.chars())
        } else {
            self.raw == other
        }
    }

    fn chars(self) -> impl Iterator<Item = char> + 'a {
        let mut rest = self.raw;
        std::iter::from_fn(move || {
            let mut chars = rest.chars();
            let first = chars.next()?;
            if first != '\\' {
                rest = chars.as_str();
                return Some(first);
            }
            let (character, length) = read_escape(rest.as_bytes())
                .expect("the scanner has checked every escape of this string");
            rest = &rest[length..];
            Some(character)
        })
    }
}

/// One field of a scanned text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    /// The field is not there.
    Missing,
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as written.
    Number(&'a str),
    /// A string.
    Str(RawStr<'a>),
    /// An object or an array, as written.
    Compound(&'a str),
}

/// A field that a [`Paths`] looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldId(u8);

/// The fields that were found; those not found are [`Field::Missing`].
#[derive(Debug)]
pub struct Fields<'a>([Field<'a>; MAX_FIELDS]);

impl<'a> std::ops::Index<FieldId> for Fields<'a> {
    type Output = Field<'a>;

    fn index(&self, field: FieldId) -> &Field<'a> {
        &self.0[usize::from(field.0)]
    }
}

/// The fields to look for, each a path of keys, put together so that one pass finds them all.
#[derive(Debug, Clone)]
pub struct Paths {
    nodes: Vec<Node>,
    fields: u8,
}

#[derive(Debug, Clone, Default)]
struct Node {
    children: Vec<(Box<str>, usize)>,
    field: Option<FieldId>,
    /// The fields here and below, one bit each: what a repeated key makes void.
    below: u32,
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            nodes: vec![Node::default()],
            fields: 0,
        }
    }
}

impl Paths {
    /// Look for `path` too; the same path gives the same field. `None` when there are [`MAX_FIELDS`] already.
    pub fn add<'p>(&mut self, path: impl IntoIterator<Item = &'p str>) -> Option<FieldId> {
        let mut trail = vec![0];
        for key in path {
            let at = trail[trail.len() - 1];
            let known = self.nodes[at]
                .children
                .iter()
                .find(|(name, _)| **name == *key)
                .map(|(_, child)| *child);
            let child = known.unwrap_or_else(|| {
                self.nodes.push(Node::default());
                let child = self.nodes.len() - 1;
                self.nodes[at].children.push((key.into(), child));
                child
            });
            trail.push(child);
        }
        let leaf = trail[trail.len() - 1];
        if let Some(field) = self.nodes[leaf].field {
            return Some(field);
        }
        if usize::from(self.fields) == MAX_FIELDS {
            return None;
        }
        let field = FieldId(self.fields);
        self.fields += 1;
        self.nodes[leaf].field = Some(field);
        for node in trail {
            self.nodes[node].below |= 1 << field.0;
        }
        Some(field)
    }

    /// Check that `text` is one JSON value and pick out the fields.
    pub fn scan<'a>(&self, text: &'a str) -> Result<Fields<'a>, JsonError> {
        let mut scan = Scan {
            text,
            bytes: text.as_bytes(),
            at: 0,
            paths: self,
            fields: Fields([Field::Missing; MAX_FIELDS]),
        };
        scan.space();
        scan.value(Some(0), 0)?;
        scan.space();
        if scan.at != scan.bytes.len() {
            return Err(scan.syntax());
        }
        Ok(scan.fields)
    }
}

struct Scan<'a, 'p> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    paths: &'p Paths,
    fields: Fields<'a>,
}

impl<'a> Scan<'a, '_> {
    fn syntax(&self) -> JsonError {
        JsonError {
            offset: self.at,
            problem: Problem::Syntax,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek() != Some(byte) {
            return Err(self.syntax());
        }
        self.at += 1;
        Ok(())
    }

    /// One value; `node` is where we are in the tree of wanted paths, if anywhere.
    fn value(&mut self, node: Option<usize>, depth: usize) -> Result<(), JsonError> {
        let begin = self.at;
        let field = match self.peek().ok_or_else(|| self.syntax())? {
            b'"' => Field::Str(self.string()?),
            b'{' => {
                self.object(node, depth)?;
                Field::Compound(&self.text[begin..self.at])
            }
            b'[' => {
                self.array(depth)?;
                Field::Compound(&self.text[begin..self.at])
            }
            b't' => self.word(b"true", Field::Bool(true))?,
            b'f' => self.word(b"false", Field::Bool(false))?,
            b'n' => self.word(b"null", Field::Null)?,
            _ => Field::Number(self.number()?),
        };
        if let Some(id) = node.and_then(|node| self.paths.nodes[node].field) {
            self.fields.0[usize::from(id.0)] = field;
        }
        Ok(())
    }

    fn enter(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth >= MAX_DEPTH {
            return Err(JsonError {
                offset: self.at,
                problem: Problem::TooDeep,
            });
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    fn object(&mut self, node: Option<usize>, depth: usize) -> Result<(), JsonError> {
        self.enter(depth)?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.string()?;
            let child = node.and_then(|node| self.child(node, key));
            if let Some(child) = child {
                self.forget(self.paths.nodes[child].below);
            }
            self.space();
            self.expect(b':')?;
            self.space();
            self.value(child, depth + 1)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err(self.syntax()),
            }
            self.space();
        }
        self.at += 1;
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonError> {
        self.enter(depth)?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(None, depth + 1)?;
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err(self.syntax()),
            }
            self.space();
        }
        self.at += 1;
        Ok(())
    }

    fn child(&self, node: usize, key: RawStr<'_>) -> Option<usize> {
        self.paths.nodes[node]
            .children
            .iter()
            .find(|(name, _)| key.equals(name))
            .map(|(_, child)| *child)
    }

    fn forget(&mut self, mut fields: u32) {
        while fields != 0 {
            self.fields.0[fields.trailing_zeros() as usize] = Field::Missing;
            fields &= fields - 1;
        }
    }

    fn word(&mut self, word: &[u8], field: Field<'a>) -> Result<Field<'a>, JsonError> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.syntax());
        }
        self.at += word.len();
        Ok(field)
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            Err(self.syntax())
        } else {
            Ok(())
        }
    }

    fn number(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn string(&mut self) -> Result<RawStr<'a>, JsonError> {
        self.expect(b'"')?;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_prefix(&self.bytes[self.at..]);
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    let (_, length) = read_escape(&self.bytes[self.at..]).ok_or(JsonError {
                        offset: self.at,
                        problem: Problem::Escape,
                    })?;
                    self.at += length;
                }
                _ => return Err(self.syntax()),
            }
        }
        let raw = &self.text[start..self.at];
        self.at += 1;
        Ok(RawStr { raw, escaped })
    }
}

/// How many bytes from the start are neither a quote, a backslash nor a control character.
fn plain_prefix(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let special = |byte: u8| byte == b'"' || byte == b'\\' || byte < 0x20;
    let has_zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let mut at = 0;
    for chunk in bytes.chunks_exact(8) {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks of eight"));
        let quotes = has_zero(word ^ (ONES * u64::from(b'"')));
        let backslashes = has_zero(word ^ (ONES * u64::from(b'\\')));
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let hit = quotes | backslashes | controls;
        if hit != 0 {
            // A borrow can only mark bytes after the first true hit, and the lowest mark is the first byte.
            return at + hit.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + bytes[at..]
        .iter()
        .position(|&byte| special(byte))
        .unwrap_or(bytes.len() - at)
}

/// The character that the escape at the start of `bytes` means, and the escape's length.
fn read_escape(bytes: &[u8]) -> Option<(char, usize)> {
    let simple = |character| Some((character, 2));
    match bytes.get(1)? {
        b'"' => simple('"'),
        b'\\' => simple('\\'),
        b'/' => simple('/'),
        b'b' => simple('\u{8}'),
        b'f' => simple('\u{c}'),
        b'n' => simple('\n'),
        b'r' => simple('\r'),
        b't' => simple('\t'),
        b'u' => {
            let first = hex4(bytes.get(2..6)?)?;
            if let Some(character) = char::from_u32(first) {
                return Some((character, 6));
            }
            if !(0xD800..0xDC00).contains(&first) || bytes.get(6..8)? != b"\\u" {
                return None;
            }
            let second = hex4(bytes.get(8..12)?)?;
            if !(0xDC00..0xE000).contains(&second) {
                return None;
            }
            char::from_u32(0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00))
                .map(|character| (character, 12))
        }
        _ => None,
    }
}

fn hex4(bytes: &[u8]) -> Option<u32> {
    bytes.iter().try_fold(0, |value, &byte| {
        Some(value << 4 | char::from(byte).to_digit(16)?)
    })
}

/// Append `text` as the inside of a JSON string: quotes, backslashes and control characters escaped (RFC 8259 section 7).
pub fn escape_into(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut rest = text.as_bytes();
    loop {
        let plain = plain_prefix(rest);
        out.extend_from_slice(&rest[..plain]);
        let Some(&special) = rest.get(plain) else {
            return;
        };
        match special {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', special]),
            control => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[
                    HEX[usize::from(control >> 4)],
                    HEX[usize::from(control & 15)],
                ]);
            }
        }
        rest = &rest[plain + 1..];
    }
}
