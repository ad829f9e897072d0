//! Digits as tones in the sound itself (ITU-T Q.23), both ways: a row's tone and a column's together.
mod detector;
mod maker;
#[cfg(test)]
mod tests;

use crate::telephone_event::Digit;

pub use detector::{Likeness, ToneDetector};
pub use maker::ToneMaker;

/// The tones of the rows, in Hz.
pub const ROWS: [u16; 4] = [697, 770, 852, 941];
/// The tones of the columns, in Hz.
pub const COLUMNS: [u16; 4] = [1_209, 1_336, 1_477, 1_633];

/// Event codes of the keys, row by row.
const KEYS: [[u8; 4]; 4] = [[1, 2, 3, 12], [4, 5, 6, 13], [7, 8, 9, 14], [10, 0, 11, 15]];

/// The digit of a row and a column.
fn digit(row: usize, column: usize) -> Digit {
    Digit::from_event(KEYS[row][column]).expect("all are digits")
}

/// The tones of a digit in Hz, the row's first; `None` for a flash.
pub fn tones_of(digit: Digit) -> Option<(u16, u16)> {
    (0..4).find_map(|row| {
        let column = KEYS[row].iter().position(|&event| event == digit.event())?;
        Some((ROWS[row], COLUMNS[column]))
    })
}
