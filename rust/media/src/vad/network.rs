//! The second stage: Silero's small network for 8 kHz, worked out by hand.
//!
//! A spectrum of 128 samples every 64, four convolutions, a memory (LSTM) of 128 cells and one output: 0.2 million multiplications for the memory
//! and as many for the rest, for every 32 ms of sound. The weights are Silero VAD 6.2.3 (MIT licence), written to a flat file by
//! `tools/speech_network.py`, and shared by all legs; a state is 2 KiB. Single precision, no allocation, within 1e-3 of onnxruntime.
use std::fmt;

/// Samples at 8 kHz that are judged at a time: 32 ms.
pub const CHUNK: usize = 256;
/// Samples before them that are looked at, too.
const CONTEXT: usize = 32;
/// Samples of a spectrum, how far apart two of them are, and how many there are in a chunk.
const WINDOW: usize = 128;
const HOP: usize = 64;
const COLUMNS: usize = 4;
/// The end of a chunk is mirrored by so many samples.
const MIRRORED: usize = 32;
/// Bins of a spectrum.
const BINS: usize = 65;
/// Cells of the memory.
const CELLS: usize = 128;
/// Outputs that are worked out side by side.
const LANES: usize = 32;

/// Inputs and outputs of each layer, and whether it has a bias: what the file holds, in its order.
const SPECTRUM: Shape = Shape(WINDOW, 160, false);
const FIRST: Shape = Shape(3 * BINS, 128, true);
const SECOND: Shape = Shape(3 * 128, 64, true);
/// Two columns come to it and one to the last: the taps that only meet padding are left out of the file.
const THIRD: Shape = Shape(2 * 64, 64, true);
const FOURTH: Shape = Shape(64, 128, true);
const MEMORY: Shape = Shape(2 * CELLS, 4 * CELLS, true);

#[derive(Clone, Copy)]
struct Shape(usize, usize, bool);

impl Shape {
    const fn len(self) -> usize {
        let bias = if self.2 { self.1 } else { 0 };
        self.0 * self.1 + bias
    }
}

/// Bytes of the weights.
pub const WEIGHTS_LEN: usize = 4
    * (SPECTRUM.len()
        + FIRST.len()
        + SECOND.len()
        + THIRD.len()
        + FOURTH.len()
        + MEMORY.len()
        + 1
        + CELLS);

/// These bytes are no weights of this network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WeightsError {
    /// There are so many bytes, and there should be [`WEIGHTS_LEN`].
    Length(usize),
    /// A weight is no number.
    NotFinite,
}

impl fmt::Display for WeightsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Length(len) => write!(f, "{len} bytes of weights and not {WEIGHTS_LEN}"),
            Self::NotFinite => write!(f, "a weight is no number"),
        }
    }
}

impl std::error::Error for WeightsError {}

/// A matrix by blocks of [`LANES`] outputs, in each block input by input.
#[derive(Debug)]
struct Layer {
    bias: Vec<f32>,
    weights: Vec<[f32; LANES]>,
}

impl Layer {
    fn read(shape: Shape, from: &mut impl Iterator<Item = f32>) -> Self {
        let Shape(inputs, outputs, has_bias) = shape;
        let bias = match has_bias {
            true => from.take(outputs).collect(),
            false => vec![0.0; outputs],
        };
        let weights = (0..inputs * outputs / LANES)
            .map(|_| std::array::from_fn(|_| from.next().unwrap_or(0.0)))
            .collect();
        Self { bias, weights }
    }

    /// Weights times `input`, and the bias.
    fn apply(&self, input: &[f32], out: &mut [f32]) {
        let blocks = out.len() / LANES;
        let inputs = self.weights.len() / blocks;
        let weights = self.weights.chunks_exact(inputs);
        for ((out, bias), weights) in out
            .chunks_exact_mut(LANES)
            .zip(self.bias.chunks_exact(LANES))
            .zip(weights)
        {
            let mut sums = [0.0; LANES];
            sums.copy_from_slice(bias);
            for (weights, &input) in weights.iter().zip(input) {
                for (sum, weight) in sums.iter_mut().zip(weights) {
                    *sum += weight * input;
                }
            }
            out.copy_from_slice(&sums);
        }
    }

    fn convolve(&self, input: &[f32], out: &mut [f32]) {
        self.apply(input, out);
        out.iter_mut().for_each(|x| *x = x.max(0.0));
    }
}

/// The network: its weights, which never change.
#[derive(Debug)]
pub struct SpeechNetwork {
    spectrum: Layer,
    first: Layer,
    second: Layer,
    third: Layer,
    fourth: Layer,
    memory: Layer,
    output_bias: f32,
    output: Vec<f32>,
}

/// What the network remembers of one speaker.
#[derive(Clone, Debug)]
pub struct SpeechState {
    context: [f32; CONTEXT],
    hidden: [f32; CELLS],
    cells: [f32; CELLS],
}

impl Default for SpeechState {
    fn default() -> Self {
        Self {
            context: [0.0; CONTEXT],
            hidden: [0.0; CELLS],
            cells: [0.0; CELLS],
        }
    }
}

impl SpeechState {
    /// What came before the first chunk.
    pub(super) fn set_context(&mut self, context: &[f32]) {
        self.context.copy_from_slice(context);
    }
}

impl SpeechNetwork {
    /// Takes the weights from the file's bytes.
    ///
    /// # Errors
    /// If they are not as many as they should be, or one of them is no number. Whose they are is for the caller to check, by their hash.
    pub fn new(bytes: &[u8]) -> Result<Self, WeightsError> {
        if bytes.len() != WEIGHTS_LEN {
            return Err(WeightsError::Length(bytes.len()));
        }
        let mut numbers = bytes
            .chunks_exact(4)
            .map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]]));
        if numbers.clone().any(|number| !number.is_finite()) {
            return Err(WeightsError::NotFinite);
        }
        let from = &mut numbers;
        Ok(Self {
            spectrum: Layer::read(SPECTRUM, from),
            first: Layer::read(FIRST, from),
            second: Layer::read(SECOND, from),
            third: Layer::read(THIRD, from),
            fourth: Layer::read(FOURTH, from),
            memory: Layer::read(MEMORY, from),
            output_bias: from.next().unwrap_or(0.0),
            output: from.collect(),
        })
    }

    /// How likely it is that somebody speaks in the next 32 ms, 0 to 1; full scale of the samples is 1.
    pub fn judge(&self, state: &mut SpeechState, chunk: &[f32; CHUNK]) -> f32 {
        let magnitudes = self.magnitudes(&state.context, chunk);
        state.context.copy_from_slice(&chunk[CHUNK - CONTEXT..]);
        // A column of nothing stands before the first and behind the last.
        let mut first = [0.0; (COLUMNS + 2) * 128];
        for column in 0..COLUMNS {
            let input = &magnitudes[column * BINS..][..3 * BINS];
            let out = &mut first[(column + 1) * 128..][..128];
            self.first.convolve(input, out);
        }
        let mut second = [0.0; 2 * 64];
        for (column, out) in second.chunks_exact_mut(64).enumerate() {
            self.second
                .convolve(&first[2 * column * 128..][..3 * 128], out);
        }
        let mut third = [0.0; 64];
        self.third.convolve(&second, &mut third);
        let mut input = [0.0; 2 * CELLS];
        let (heard, remembered) = input.split_at_mut(CELLS);
        self.fourth.convolve(&third, heard);
        remembered.copy_from_slice(&state.hidden);
        let mut gates = [0.0; 4 * CELLS];
        self.memory.apply(&input, &mut gates);
        let (input, rest) = gates.split_at(CELLS);
        let (forget, rest) = rest.split_at(CELLS);
        let (new, output) = rest.split_at(CELLS);
        let mut sum = self.output_bias;
        for cell in 0..CELLS {
            let kept = sigmoid(forget[cell]) * state.cells[cell];
            let value = kept + sigmoid(input[cell]) * new[cell].tanh();
            let hidden = sigmoid(output[cell]) * value.tanh();
            state.cells[cell] = value;
            state.hidden[cell] = hidden;
            sum += self.output[cell] * hidden.max(0.0);
        }
        sigmoid(sum)
    }

    /// The spectra of a chunk, with an empty one before and behind them.
    fn magnitudes(
        &self,
        context: &[f32; CONTEXT],
        chunk: &[f32; CHUNK],
    ) -> [f32; (COLUMNS + 2) * BINS] {
        let mut samples = [0.0; CONTEXT + CHUNK + MIRRORED];
        let end = CONTEXT + CHUNK;
        samples[..CONTEXT].copy_from_slice(context);
        samples[CONTEXT..end].copy_from_slice(chunk);
        for index in 0..MIRRORED {
            samples[end + index] = samples[end - 2 - index];
        }
        let mut magnitudes = [0.0; (COLUMNS + 2) * BINS];
        let mut parts = [0.0; 160];
        let columns = magnitudes.chunks_exact_mut(BINS).skip(1).take(COLUMNS);
        for (window, out) in samples.windows(WINDOW).step_by(HOP).zip(columns) {
            self.spectrum.apply(window, &mut parts);
            for (bin, out) in out.iter_mut().enumerate() {
                let (re, im) = match bin {
                    64 => (parts[128], parts[129]),
                    _ => (parts[bin], parts[64 + bin]),
                };
                *out = (re * re + im * im).sqrt();
            }
        }
        magnitudes
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}
