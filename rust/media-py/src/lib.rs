//! `offhook._media`: the boundary between Python, which decides, and Rust, which moves the sound.
//!
//! Nothing is decided here: arguments become values of the core, values of the core become objects, errors become
//! `MediaError`. What each name means is written down in `_media.pyi`.
// The extraction of arguments that PyO3 writes has needless conversions.
#![allow(clippy::useless_conversion)]

mod bridge;
mod config;
mod error;
mod event;
mod recording;
mod stats;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use offhook_media::barge_in::Policy;
use offhook_media::clock::Time;
use offhook_media::engine::{
    self, BridgeSettings, DigitMask, LegHandle, MediaError, MuxHandle, WireHandle,
};
use offhook_media::melody;
use offhook_media::rehearsal;
use offhook_media::telephone_event::KeyTiming;
use offhook_media::who_answered::Stage;
use pyo3::prelude::*;

use bridge::Bridge;
use config::{
    CallConfig, EngineConfig, LegConfig, NetworkConfig, OpusWishes, RecordingConfig, RemoteMedia,
    SrtpKeys, WireConfig, socket_address,
};
use error::{media_error, raise};
use event::MediaEvent;
use recording::Recording;
use stats::{EngineStats, MediaStats, WireStats};

/// The media plane of one process.
#[pyclass(frozen, module = "offhook._media")]
struct Engine {
    engine: Arc<engine::Engine>,
}

impl Engine {
    fn of(engine: Arc<engine::Engine>) -> Self {
        Self { engine }
    }
}

/// Run what may take more than a moment without the interpreter lock.
fn detached<T: Send>(
    py: Python<'_>,
    action: impl FnOnce() -> Result<T, MediaError> + Send,
) -> PyResult<T> {
    py.detach(action).map_err(|error| raise(py, &error))
}

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, config: &EngineConfig) -> PyResult<Self> {
        let settings = config.settings().map_err(|error| raise(py, &error))?;
        detached(py, || engine::Engine::new(settings)).map(|engine| Self::of(Arc::new(engine)))
    }

    #[pyo3(signature = (config, *, beside = None))]
    fn open_leg(
        &self,
        py: Python<'_>,
        config: &LegConfig,
        beside: Option<&RtpLeg>,
    ) -> PyResult<RtpLeg> {
        let settings = config.settings().map_err(|error| raise(py, &error))?;
        let beside = beside.map(|leg| &leg.leg);
        detached(py, || self.engine.open_leg(&settings, beside)).map(|leg| RtpLeg { leg })
    }

    #[pyo3(signature = (a, b, *, digits = true, one_way = false))]
    fn bridge(
        &self,
        py: Python<'_>,
        a: &RtpLeg,
        b: &RtpLeg,
        digits: bool,
        one_way: bool,
    ) -> PyResult<Bridge> {
        let settings = BridgeSettings { digits, one_way };
        self.engine
            .bridge(&a.leg, &b.leg, settings)
            .map(|bridge| Bridge { bridge })
            .map_err(|error| raise(py, &error))
    }

    #[pyo3(signature = (config, *, leg))]
    fn open_wire(&self, py: Python<'_>, config: &WireConfig, leg: &RtpLeg) -> PyResult<Wire> {
        let settings = config.settings();
        detached(py, || self.engine.open_wire(&settings, &leg.leg)).map(|wire| Wire { wire })
    }

    #[pyo3(signature = (config, *, leg))]
    fn record(
        &self,
        py: Python<'_>,
        config: &RecordingConfig,
        leg: &RtpLeg,
    ) -> PyResult<Recording> {
        let settings = config.settings().map_err(|error| raise(py, &error))?;
        detached(py, || self.engine.record(&settings, &leg.leg))
            .map(|recording| Recording { recording })
    }

    #[pyo3(signature = (fd, answer, *, thread))]
    fn open_mux(&self, py: Python<'_>, fd: i32, answer: &[u8], thread: usize) -> PyResult<Mux> {
        self.engine
            .open_mux(fd, answer, thread)
            .map(|mux| Mux { mux })
            .map_err(|error| raise(py, &error))
    }

    #[pyo3(signature = (config, *, mux, leg))]
    fn open_call(
        &self,
        py: Python<'_>,
        config: &CallConfig,
        mux: &Mux,
        leg: &RtpLeg,
    ) -> PyResult<Wire> {
        let settings = config.settings();
        detached(py, || self.engine.open_call(&settings, &mux.mux, &leg.leg))
            .map(|wire| Wire { wire })
    }

    fn drain_events(&self, max: usize) -> Vec<MediaEvent> {
        self.engine
            .drain_events(max)
            .into_iter()
            .map(MediaEvent::from)
            .collect()
    }

    #[getter]
    fn wakeup_fd(&self) -> i32 {
        self.engine.wakeup_descriptor()
    }

    fn stats(&self) -> EngineStats {
        EngineStats::from(self.engine.stats())
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.engine.close());
    }
}

/// Two engines in memory and the network between them.
#[pyclass(frozen, module = "offhook._media")]
struct Line {
    line: Mutex<rehearsal::Line>,
    gateway: Py<Engine>,
    phone: Py<Engine>,
}

#[pymethods]
impl Line {
    #[new]
    #[pyo3(signature = (gateway, phone, network, *, seed, start_ns))]
    fn new(
        py: Python<'_>,
        gateway: &EngineConfig,
        phone: &EngineConfig,
        network: &NetworkConfig,
        seed: u64,
        start_ns: u64,
    ) -> PyResult<Self> {
        let made = gateway.settings().and_then(|gateway| {
            let (phone, start) = (phone.settings()?, Time::from_nanos(start_ns));
            rehearsal::Line::new(gateway, phone, network.profile()?, seed, start)
        });
        let line = made.map_err(|error| raise(py, &error))?;
        Ok(Self {
            gateway: Py::new(py, Engine::of(Arc::clone(line.gateway())))?,
            phone: Py::new(py, Engine::of(Arc::clone(line.phone())))?,
            line: Mutex::new(line),
        })
    }

    #[getter]
    fn gateway(&self, py: Python<'_>) -> Py<Engine> {
        self.gateway.clone_ref(py)
    }

    #[getter]
    fn phone(&self, py: Python<'_>) -> Py<Engine> {
        self.phone.clone_ref(py)
    }

    fn run(&self, py: Python<'_>, until_ns: u64) -> u64 {
        py.detach(|| {
            let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
            line.run(Time::from_nanos(until_ns)).as_nanos()
        })
    }

    #[getter]
    fn carried(&self) -> ((u64, u64), (u64, u64)) {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let (to_gateway, to_phone) = line.carriage();
        (
            (to_gateway.sent, to_gateway.lost),
            (to_phone.sent, to_phone.lost),
        )
    }
}

/// Music for those who are on hold.
#[pyclass(frozen, module = "offhook._media")]
struct Melody {
    melody: Arc<melody::Melody>,
}

#[pymethods]
impl Melody {
    #[new]
    fn new(py: Python<'_>, pcm16: &[u8], rate: u32) -> PyResult<Self> {
        let samples: Vec<i16> = pcm16
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        let melody = py.detach(|| melody::Melody::new(&samples, rate));
        let what = "music: 20 ms to 10 minutes at 8000, 16000, 24000 or 48000 Hz";
        let melody = melody.ok_or_else(|| raise(py, &MediaError::BadConfig(what.to_owned())))?;
        Ok(Self {
            melody: Arc::new(melody),
        })
    }

    #[staticmethod]
    fn composed(py: Python<'_>) -> Self {
        Self {
            melody: Arc::new(py.detach(melody::Melody::composed)),
        }
    }

    #[getter]
    fn duration_ms(&self) -> usize {
        self.melody.len() / 8
    }
}

/// One RTP stream each way with one peer.
#[pyclass(frozen, module = "offhook._media")]
struct RtpLeg {
    leg: LegHandle,
}

#[pymethods]
impl RtpLeg {
    #[getter]
    fn id(&self) -> u64 {
        self.leg.id()
    }

    #[getter]
    fn local_address(&self) -> (String, u16) {
        let address = self.leg.local_address();
        (address.ip().to_string(), address.port())
    }

    #[getter]
    fn thread(&self) -> usize {
        self.leg.thread()
    }

    fn place(&self, py: Python<'_>, remote: (String, u16)) -> PyResult<(String, u16)> {
        let (host, port) = remote;
        let placed = socket_address(&host, port).and_then(|remote| match remote {
            Some(remote) => self.leg.place(remote),
            // A hold names none: any port will do.
            None => Ok(self.leg.local_address()),
        });
        let address = placed.map_err(|error| raise(py, &error))?;
        Ok((address.ip().to_string(), address.port()))
    }

    fn set_remote(&self, py: Python<'_>, remote: &RemoteMedia) -> PyResult<()> {
        let done = remote
            .settings()
            .and_then(|(media, policy)| self.leg.set_remote(media, policy));
        done.map_err(|error| raise(py, &error))
    }

    #[pyo3(signature = (*, release_after_ms = Some(300)))]
    #[pyo3(text_signature = "($self, *, release_after_ms=300)")]
    fn start(&self, py: Python<'_>, release_after_ms: Option<u64>) -> PyResult<()> {
        let after = release_after_ms.map(Duration::from_millis);
        self.leg.start(after).map_err(|error| raise(py, &error))
    }

    fn release(&self, py: Python<'_>) -> PyResult<()> {
        self.leg.release().map_err(|error| raise(py, &error))
    }

    #[pyo3(signature = (wire, *, deaf = false))]
    fn connect(&self, py: Python<'_>, wire: Option<&Wire>, deaf: bool) -> PyResult<()> {
        self.leg
            .connect(wire.map(|wire| &wire.wire), deaf)
            .map_err(|error| raise(py, &error))
    }

    fn echo(&self, py: Python<'_>, on: bool) -> PyResult<()> {
        self.leg.echo(on).map_err(|error| raise(py, &error))
    }

    fn barge_in(&self, py: Python<'_>, policy: Option<&str>) -> PyResult<()> {
        let known = |name| {
            Policy::parse(name)
                .ok_or_else(|| MediaError::BadConfig(format!("barge_in: no policy `{name}`")))
        };
        let done = policy
            .map(known)
            .transpose()
            .and_then(|policy| self.leg.barge_in(policy));
        done.map_err(|error| raise(py, &error))
    }

    fn detect(&self, py: Python<'_>, stage: Option<&str>, limit_ms: u32) -> PyResult<()> {
        let known = |name| {
            Stage::parse(name)
                .ok_or_else(|| MediaError::BadConfig(format!("detect: no stage `{name}`")))
        };
        let done = stage
            .map(known)
            .transpose()
            .and_then(|stage| self.leg.detect(stage, limit_ms));
        done.map_err(|error| raise(py, &error))
    }

    fn hold_music(&self, py: Python<'_>, melody: Option<&Melody>) -> PyResult<()> {
        self.leg
            .hold_music(melody.map(|melody| Arc::clone(&melody.melody)))
            .map_err(|error| raise(py, &error))
    }

    #[pyo3(signature = (pcm16, rate, mark = None))]
    fn play(
        &self,
        py: Python<'_>,
        pcm16: Vec<u8>,
        rate: u32,
        mark: Option<String>,
    ) -> PyResult<()> {
        self.leg
            .play(pcm16, rate, mark)
            .map_err(|error| raise(py, &error))
    }

    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.leg.clear().map_err(|error| raise(py, &error))
    }

    fn tap(&self, py: Python<'_>, on: bool) -> PyResult<()> {
        self.leg.tap(on).map_err(|error| raise(py, &error))
    }

    #[pyo3(signature = (digits, *, duration_ms = 160, gap_ms = 80))]
    #[pyo3(text_signature = "($self, digits, *, duration_ms=160, gap_ms=80)")]
    fn send_dtmf(
        &self,
        py: Python<'_>,
        digits: &str,
        duration_ms: u32,
        gap_ms: u32,
    ) -> PyResult<()> {
        let millis = |millis: u32| Duration::from_millis(u64::from(millis));
        let timing = KeyTiming {
            lasts: millis(duration_ms),
            gap: millis(gap_ms),
        };
        self.leg
            .send_dtmf_timed(digits, timing)
            .map_err(|error| raise(py, &error))
    }

    fn press(&self, py: Python<'_>, digit: char, duration_ms: u32) -> PyResult<()> {
        let lasted = Duration::from_millis(u64::from(duration_ms));
        self.leg
            .press(digit, lasted)
            .map_err(|error| raise(py, &error))
    }

    fn mask_digits(&self, py: Python<'_>, mask: &str) -> PyResult<()> {
        let done = DigitMask::parse(mask)
            .ok_or_else(|| MediaError::BadConfig(format!("mask_digits: no `{mask}`")))
            .and_then(|mask| self.leg.mask_digits(mask));
        done.map_err(|error| raise(py, &error))
    }

    fn drain(&self, py: Python<'_>) -> PyResult<()> {
        self.leg.drain().map_err(|error| raise(py, &error))
    }

    fn stats(&self) -> MediaStats {
        MediaStats::from(self.leg.stats().snapshot())
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.leg.close());
    }
}

/// One WebSocket connection to an agent.
#[pyclass(frozen, module = "offhook._media")]
struct Wire {
    wire: WireHandle,
}

#[pymethods]
impl Wire {
    #[getter]
    fn id(&self) -> u64 {
        self.wire.id()
    }

    #[pyo3(signature = (text, *, numbered = false))]
    #[pyo3(text_signature = "($self, text, *, numbered=False)")]
    fn send_text(&self, py: Python<'_>, text: &str, numbered: bool) -> PyResult<()> {
        self.wire
            .send_text(text, numbered)
            .map_err(|error| raise(py, &error))
    }

    #[pyo3(signature = (code = 1000, reason = ""))]
    fn close(&self, py: Python<'_>, code: u16, reason: &str) {
        py.detach(|| self.wire.close(code, reason));
    }

    fn stats(&self) -> WireStats {
        WireStats::from(self.wire.stats())
    }
}

/// One connection that a worker has dialled.
#[pyclass(frozen, module = "offhook._media")]
struct Mux {
    mux: MuxHandle,
}

#[pymethods]
impl Mux {
    #[getter]
    fn id(&self) -> u64 {
        self.mux.id()
    }

    #[getter]
    fn thread(&self) -> usize {
        self.mux.thread()
    }

    fn send_text(&self, py: Python<'_>, text: &str) -> PyResult<()> {
        self.mux.send_text(text).map_err(|error| raise(py, &error))
    }

    #[pyo3(signature = (code = 1000, reason = ""))]
    fn close(&self, py: Python<'_>, code: u16, reason: &str) {
        py.detach(|| self.mux.close(code, reason));
    }

    fn stats(&self) -> WireStats {
        WireStats::from(self.mux.stats())
    }
}

#[pymodule]
fn _media(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("MediaError", media_error(py)?.bind(py))?;
    module.add_class::<EngineConfig>()?;
    module.add_class::<LegConfig>()?;
    module.add_class::<OpusWishes>()?;
    module.add_class::<SrtpKeys>()?;
    module.add_class::<RemoteMedia>()?;
    module.add_class::<WireConfig>()?;
    module.add_class::<RecordingConfig>()?;
    module.add_class::<CallConfig>()?;
    module.add_class::<MediaEvent>()?;
    module.add_class::<MediaStats>()?;
    module.add_class::<WireStats>()?;
    module.add_class::<EngineStats>()?;
    module.add_class::<NetworkConfig>()?;
    module.add_class::<Engine>()?;
    module.add_class::<Line>()?;
    module.add_class::<Melody>()?;
    module.add_class::<RtpLeg>()?;
    module.add_class::<Wire>()?;
    module.add_class::<Bridge>()?;
    module.add_class::<Recording>()?;
    module.add_class::<Mux>()?;
    Ok(())
}
