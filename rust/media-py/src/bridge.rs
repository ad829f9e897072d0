//! Two legs that hear each other.

use offhook_media::engine::BridgeHandle;
use pyo3::prelude::*;

use crate::error::raise;

/// Two legs that hear each other.
#[pyclass(frozen, module = "offhook._media")]
pub struct Bridge {
    pub bridge: BridgeHandle,
}

#[pymethods]
impl Bridge {
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.bridge.close().map_err(|error| raise(py, &error))
    }
}
