//! `offhook._media`: the boundary between Python, which decides, and Rust, which moves the sound.
use pyo3::prelude::*;

#[pymodule]
mod _media {}
