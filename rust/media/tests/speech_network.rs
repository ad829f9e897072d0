//! The speech network against onnxruntime, which has judged the same recording of a voice (`tools/speech_network.py`).
use std::path::{Path, PathBuf};

use offhook_media::vad::network::{CHUNK, SpeechNetwork, SpeechState, WEIGHTS_LEN, WeightsError};

#[allow(dead_code, reason = "only the recordings are of use here")]
mod sound;

fn offhook() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/offhook")
}

fn weights() -> Vec<u8> {
    std::fs::read(offhook().join("media/silero/silero_vad_8k.f32")).expect("the weights")
}

#[test]
fn it_says_what_onnxruntime_says() {
    let network = SpeechNetwork::new(&weights()).expect("the network");
    let expected: Vec<f32> = include_str!("data/speech_network.txt")
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    let recording = sound::wav(&offhook().join("phone/sounds/sentence.wav"));
    let samples: Vec<f32> = recording.iter().map(|&sample| sample as f32).collect();
    let mut state = SpeechState::default();
    let (chunks, _) = samples.as_chunks::<CHUNK>();
    let said: Vec<f32> = chunks
        .iter()
        .map(|chunk| network.judge(&mut state, chunk))
        .collect();
    assert_eq!(said.len(), expected.len());
    assert!(expected.iter().any(|&p| p > 0.95) && expected.iter().any(|&p| p < 0.05));
    for (index, (said, expected)) in said.iter().zip(&expected).enumerate() {
        assert!((said - expected).abs() < 1e-3, "{index}: {said} {expected}");
    }
}

#[test]
fn what_are_no_weights_is_refused() {
    let weights = weights();
    assert_eq!(weights.len(), WEIGHTS_LEN);
    let short = SpeechNetwork::new(&weights[4..]).expect_err("too short");
    assert_eq!(short, WeightsError::Length(WEIGHTS_LEN - 4));
    let mut broken = weights;
    broken[4_000..4_004].copy_from_slice(&f32::NAN.to_le_bytes());
    let broken = SpeechNetwork::new(&broken).expect_err("no number");
    assert_eq!(broken, WeightsError::NotFinite);
}
