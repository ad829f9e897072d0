//! `MediaEvent`: one flat value with the fields of every kind.

use std::net::SocketAddr;

use offhook_media::engine::{Event, Subject, Timings, What};
use offhook_media::who_answered::Facts;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// Something that happened on a media thread.
#[pyclass(frozen, module = "offhook._media")]
pub(crate) struct MediaEvent {
    at: f64,
    subject: Subject,
    what: What,
}

impl From<Event> for MediaEvent {
    fn from(event: Event) -> Self {
        // Its weight in the wire's backlog ends here: Python has it now.
        Self {
            at: event.at.as_secs_f64(),
            subject: event.subject,
            what: event.what,
        }
    }
}

fn pair(address: SocketAddr) -> (String, u16) {
    (address.ip().to_string(), address.port())
}

impl MediaEvent {
    fn facts(&self) -> Option<&Facts> {
        match &self.what {
            What::AnsweredBy { facts, .. } => Some(facts),
            _ => None,
        }
    }

    fn timings(&self) -> Option<Timings> {
        match &self.what {
            What::Connected { timings, .. } => Some(*timings),
            _ => None,
        }
    }
}

#[pymethods]
impl MediaEvent {
    #[getter]
    fn kind(&self) -> &'static str {
        self.what.kind()
    }

    #[getter]
    fn at(&self) -> f64 {
        self.at
    }

    #[getter]
    fn leg(&self) -> Option<u64> {
        match self.subject {
            Subject::Leg(id) => Some(id),
            _ => None,
        }
    }

    #[getter]
    fn wire(&self) -> Option<u64> {
        match self.subject {
            Subject::Wire(id) => Some(id),
            _ => None,
        }
    }

    #[getter]
    fn recording(&self) -> Option<u64> {
        match self.subject {
            Subject::Recording(id) => Some(id),
            _ => None,
        }
    }

    #[getter]
    fn mux(&self) -> Option<u64> {
        match self.subject {
            Subject::Mux(id) => Some(id),
            _ => None,
        }
    }

    #[getter]
    fn name(&self) -> Option<&str> {
        match &self.what {
            What::Mark { name, .. } => Some(name),
            _ => None,
        }
    }

    #[getter]
    fn text(&self) -> Option<&str> {
        match &self.what {
            What::Text { text } => Some(text),
            What::Failed { detail, .. } | What::ProtocolError { detail, .. } => Some(detail),
            What::Refused { body, .. } => Some(body),
            What::Closed { reason, .. } => Some(reason),
            What::InternalError { place } => Some(place),
            What::Recorded { error, .. } => error.as_deref(),
            What::Interrupted { text, .. } => Some(text),
            _ => None,
        }
    }

    #[getter]
    fn code(&self) -> Option<&'static str> {
        match &self.what {
            What::Failed { code, .. } | What::ProtocolError { code, .. } => Some(code),
            What::Closed { code, .. } => *code,
            What::AnsweredBy { why, .. } => Some(why.name()),
            _ => None,
        }
    }

    #[getter]
    fn status(&self) -> Option<u16> {
        match &self.what {
            What::Refused { status, .. } | What::Closed { status, .. } => Some(*status),
            _ => None,
        }
    }

    #[getter]
    fn clean(&self) -> Option<bool> {
        match &self.what {
            What::Closed { clean, .. } => Some(*clean),
            _ => None,
        }
    }

    #[getter]
    fn played(&self) -> Option<bool> {
        match &self.what {
            What::Mark { played, .. } => Some(*played),
            _ => None,
        }
    }

    #[getter]
    fn digit(&self) -> Option<char> {
        match &self.what {
            What::Digit { digit, .. } => *digit,
            What::KeyByInfo { digit, .. } => Some(*digit),
            _ => None,
        }
    }

    #[getter]
    fn duration_ms(&self) -> Option<u32> {
        match &self.what {
            What::Digit { duration_ms, .. }
            | What::KeyByInfo { duration_ms, .. }
            | What::SpeechEnded { duration_ms, .. } => Some(*duration_ms),
            _ => None,
        }
    }

    #[getter]
    fn played_ms(&self) -> Option<u64> {
        match &self.what {
            What::Cleared { played_ms, .. } | What::Interrupted { played_ms, .. } => {
                Some(*played_ms)
            }
            _ => None,
        }
    }

    #[getter]
    fn dropped_ms(&self) -> Option<u64> {
        match &self.what {
            What::Cleared { dropped_ms, .. } | What::Interrupted { dropped_ms, .. } => {
                Some(*dropped_ms)
            }
            _ => None,
        }
    }

    #[getter]
    fn utterance(&self) -> Option<&str> {
        match &self.what {
            What::Interrupted { utterance, .. }
            | What::BargeIn { utterance }
            | What::Backchannel { utterance } => Some(utterance),
            _ => None,
        }
    }

    #[getter]
    fn by(&self) -> Option<&'static str> {
        match &self.what {
            What::Interrupted { by, .. } | What::Digit { by, .. } => Some(by),
            _ => None,
        }
    }

    #[getter]
    fn address(&self) -> Option<(String, u16)> {
        match &self.what {
            What::FirstPacket { source } | What::SourceChanged { source } => Some(pair(*source)),
            What::Unreachable { destination } => Some(pair(*destination)),
            What::Connected { address, .. } => Some(pair(*address)),
            _ => None,
        }
    }

    #[getter]
    fn subprotocol(&self) -> Option<&str> {
        match &self.what {
            What::Connected { subprotocol, .. } => subprotocol.as_deref(),
            _ => None,
        }
    }

    #[getter]
    fn dns_ms(&self) -> Option<f64> {
        self.timings().map(|timings| timings.dns_ms)
    }

    #[getter]
    fn tcp_ms(&self) -> Option<f64> {
        self.timings().map(|timings| timings.tcp_ms)
    }

    #[getter]
    fn tls_ms(&self) -> Option<f64> {
        self.timings().map(|timings| timings.tls_ms)
    }

    #[getter]
    fn upgrade_ms(&self) -> Option<f64> {
        self.timings().map(|timings| timings.upgrade_ms)
    }

    #[getter]
    fn pcm16<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        match &self.what {
            What::Audio { pcm16, .. } => Some(PyBytes::new(py, pcm16)),
            _ => None,
        }
    }

    #[getter]
    fn packets(&self) -> Option<u64> {
        match &self.what {
            What::Unauthentic { packets } => Some(*packets),
            _ => None,
        }
    }

    #[getter]
    fn position(&self) -> Option<u64> {
        match &self.what {
            What::Audio { position, .. }
            | What::SpeechStarted { position }
            | What::SpeechEnded { position, .. } => Some(*position),
            _ => None,
        }
    }

    #[getter]
    fn position_ms(&self) -> Option<u64> {
        match &self.what {
            What::RecordingPaused { position_ms } | What::RecordingResumed { position_ms } => {
                Some(*position_ms)
            }
            What::AnsweredBy { at_ms, .. } | What::GreetingOver { at_ms, .. } => {
                Some(u64::from(*at_ms))
            }
            _ => None,
        }
    }

    #[getter]
    fn who(&self) -> Option<&'static str> {
        match &self.what {
            What::AnsweredBy { who, .. } => Some(who.name()),
            _ => None,
        }
    }

    #[getter]
    fn confidence(&self) -> Option<f64> {
        match &self.what {
            What::AnsweredBy { confidence, .. } => Some(f64::from(*confidence) / 100.0),
            _ => None,
        }
    }

    #[getter]
    fn speech_ms(&self) -> Option<u32> {
        self.facts().map(|facts| facts.speech_ms)
    }

    #[getter]
    fn corrects(&self) -> Option<&'static str> {
        self.facts()
            .and_then(|facts| facts.corrects)
            .map(|corrects| corrects.name())
    }

    #[getter]
    fn pause_ms(&self) -> Option<u32> {
        self.facts().map(|facts| facts.pause_ms)
    }

    #[getter]
    fn tone(&self) -> Option<(u32, u32, u32)> {
        match &self.what {
            What::AnsweredBy { facts, .. } if facts.hertz > 0 => {
                Some((facts.hertz, facts.second_hertz, facts.tone_ms))
            }
            What::GreetingOver {
                beep: Some((hertz, lasted)),
                ..
            } => Some((*hertz, 0, *lasted)),
            _ => None,
        }
    }

    #[getter]
    fn samples(&self) -> Option<u64> {
        match &self.what {
            What::Recorded { samples, .. } => Some(*samples),
            _ => None,
        }
    }

    #[getter]
    fn dropped_frames(&self) -> Option<u64> {
        match &self.what {
            What::Recorded { dropped_frames, .. } => Some(*dropped_frames),
            _ => None,
        }
    }

    #[getter]
    fn file_bytes(&self) -> Option<u64> {
        match &self.what {
            What::Recorded { file_bytes, .. } => Some(*file_bytes),
            _ => None,
        }
    }

    fn __repr__(&self) -> String {
        format!("MediaEvent({:?}, {:?})", self.subject, self.what)
    }
}
