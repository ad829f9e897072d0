//! The recording of a leg.

use offhook_media::engine::RecordingHandle;
use pyo3::prelude::*;

use crate::error::raise;

/// What a leg hears and sends, on its way into a file.
#[pyclass(frozen, module = "offhook._media")]
pub struct Recording {
    pub recording: RecordingHandle,
}

#[pymethods]
impl Recording {
    #[getter]
    fn id(&self) -> u64 {
        self.recording.id()
    }

    fn pause(&self, py: Python<'_>) -> PyResult<()> {
        self.recording.pause().map_err(|error| raise(py, &error))
    }

    fn resume(&self, py: Python<'_>) -> PyResult<()> {
        self.recording.resume().map_err(|error| raise(py, &error))
    }

    fn stop(&self, py: Python<'_>) -> PyResult<()> {
        self.recording.stop().map_err(|error| raise(py, &error))
    }
}
