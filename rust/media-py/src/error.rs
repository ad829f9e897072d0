//! `MediaError`, which belongs to Python's own exception tree.

use offhook_media::engine::MediaError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyType};

static MEDIA_ERROR: PyOnceLock<Py<PyType>> = PyOnceLock::new();

/// The exception class, made on first use below `offhook.errors.OffhookError`.
pub(crate) fn media_error(py: Python<'_>) -> PyResult<&Py<PyType>> {
    MEDIA_ERROR.get_or_try_init(py, || {
        let base = py
            .import("offhook.errors")?
            .getattr("OffhookError")?
            .cast_into::<PyType>()?;
        let doc = c"The only exception of the media plane; `code` says what is wrong.";
        PyErr::new_type(
            py,
            c"offhook._media.MediaError",
            Some(doc),
            Some(&base),
            None,
        )
    })
}

/// The exception for an error of the engine.
pub(crate) fn raise(py: Python<'_>, error: &MediaError) -> PyErr {
    build(py, error.to_string(), error.code(), error.hint()).unwrap_or_else(|failure| failure)
}

fn build(py: Python<'_>, message: String, code: &str, hint: &str) -> PyResult<PyErr> {
    let fields = PyDict::new(py);
    fields.set_item("code", code)?;
    fields.set_item("hint", hint)?;
    Ok(PyErr::from_value(
        media_error(py)?.bind(py).call((message,), Some(&fields))?,
    ))
}
