//! RIFF WAVE, two channels of 16 bits.

/// What stands for a length that is not known yet, as players know it of streams.
const UNKNOWN: u32 = u32::MAX;

/// Writes samples by twos. Its header leaves the lengths open: they are filled in where the file is whole.
#[derive(Debug)]
pub struct Wav {
    rate: u32,
}

impl Wav {
    /// A file of so many samples a second.
    pub fn new(rate: u32) -> Self {
        Wav { rate }
    }

    /// What the file begins with.
    pub fn header(&self, out: &mut Vec<u8>) {
        out.extend(b"RIFF");
        out.extend(UNKNOWN.to_le_bytes());
        out.extend(b"WAVEfmt ");
        out.extend(16u32.to_le_bytes());
        // PCM, two channels.
        out.extend(1u16.to_le_bytes());
        out.extend(2u16.to_le_bytes());
        out.extend(self.rate.to_le_bytes());
        out.extend((4 * self.rate).to_le_bytes());
        out.extend(4u16.to_le_bytes());
        out.extend(16u16.to_le_bytes());
        out.extend(b"data");
        out.extend(UNKNOWN.to_le_bytes());
    }

    /// Appends as many samples of both sides.
    pub fn write(&self, left: &[i16], right: &[i16], out: &mut Vec<u8>) {
        for (left, right) in left.iter().zip(right) {
            out.extend(left.to_le_bytes());
            out.extend(right.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER_LEN: usize = 44;

    #[test]
    fn the_header_is_as_long_as_it_says() {
        let mut file = Vec::new();
        let wav = Wav::new(16_000);
        wav.header(&mut file);
        assert_eq!(file.len(), HEADER_LEN);
        assert_eq!(file[24..28], 16_000u32.to_le_bytes());
        wav.write(&[1, -2], &[3, 4], &mut file);
        assert_eq!(file[HEADER_LEN..], [1, 0, 3, 0, 0xfe, 0xff, 4, 0]);
    }
}
