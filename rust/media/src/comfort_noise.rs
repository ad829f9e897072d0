//! The noise in a pause, made by the description that the peer sent (RFC 3389).

/// Reflection coefficients that are used; the RFC lets a receiver leave out the higher ones.
pub const MAX_ORDER: usize = 12;
/// 0 dBov: the root mean square of the loudest square wave of µ-law (section 3.1).
const OVERLOAD: f32 = 8_031.0 * 4.0;
/// No pause is louder than this, in dB below overload. A description that says so is a mistake or an attack, and is made as loud as this.
pub const LOUDEST: u8 = 20;
/// The noise is never louder than so many times its root mean square.
const PEAK: f32 = 3.0;

/// Makes noise as described.
#[derive(Clone, Debug)]
pub struct ComfortNoise {
    /// Root mean square that is aimed at, and where it stands: steps would be heard.
    target: f32,
    level: f32,
    order: usize,
    reflections: [f32; MAX_ORDER],
    /// Excitation that gives a root mean square of 1.
    gain: f32,
    backward: [f32; MAX_ORDER],
    random: u32,
}

impl ComfortNoise {
    /// Silence, until something is described.
    pub fn new() -> Self {
        ComfortNoise {
            target: 0.0,
            level: 0.0,
            order: 0,
            reflections: [0.0; MAX_ORDER],
            gain: 1.0,
            backward: [0.0; MAX_ORDER],
            random: 0x2545_f491,
        }
    }

    /// Takes the payload of a packet: the level in dBov, then reflection coefficients (section 3). `false`, and nothing is changed, if it
    /// is empty or its first byte is no level.
    pub fn describe(&mut self, payload: &[u8]) -> bool {
        let Some((&level, spectrum)) = payload.split_first() else {
            return false;
        };
        if level > 127 {
            return false;
        }
        let was_silent = self.target == 0.0;
        self.target = OVERLOAD * 10f32.powf(f32::from(level.max(LOUDEST)) / -20.0);
        if was_silent {
            self.level = self.target;
        }
        self.order = spectrum.len().min(MAX_ORDER);
        let mut power = 1.0;
        for (out, &index) in self.reflections.iter_mut().zip(spectrum) {
            // 255 is reserved; the nearest that is not keeps the filter stable.
            *out = 258.0 * (f32::from(index.min(254)) - 127.0) / 32_768.0;
            power *= 1.0 - *out * *out;
        }
        self.gain = power.sqrt();
        self.backward[self.order..].fill(0.0);
        true
    }

    /// The next samples.
    pub fn make(&mut self, out: &mut [i16]) {
        // The level moves to what is described within some 20 ms.
        let pace = 1.0 / 160.0;
        for out in out {
            self.level += (self.target - self.level) * pace;
            // Uniform, so its root mean square is its height over the root of 3.
            self.random ^= self.random << 13;
            self.random ^= self.random >> 17;
            self.random ^= self.random << 5;
            let white = (self.random as i32) as f32 * (1.732_050_8 / 2_147_483_648.0);
            let mut forward = white * self.gain;
            for m in (0..self.order).rev() {
                let reflection = self.reflections[m];
                forward -= reflection * self.backward[m];
                if m + 1 < self.order {
                    self.backward[m + 1] = self.backward[m] + reflection * forward;
                }
            }
            if self.order > 0 {
                self.backward[0] = forward;
            }
            // A spectrum of one sharp peak rings for long, and one that comes after another may begin with too much.
            *out = (forward.clamp(-PEAK, PEAK) * self.level) as i16;
        }
    }
}

impl Default for ComfortNoise {
    fn default() -> Self {
        Self::new()
    }
}
