//! Values: JSON text to Python objects and back, without a tree between.
//!
//! Written are None, bool, int of any size, float, str, list, tuple (as a list) and dict with str keys, and what derives from
//! them. No method of a value runs while it is written, so nothing can change it half-way.

use crate::error::{invalid_value, utf8, wrong_type};
use engine::MAX_DEPTH;
use jiter::{PythonParse, map_json_error};
use memchr::memchr;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

/// The object of a JSON text that the engine has checked.
pub(crate) fn read<'py>(py: Python<'py>, text: &str) -> PyResult<Bound<'py, PyAny>> {
    // Most values are strings, and most strings have nothing escaped in them.
    if let Some(string) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'))
        && memchr(b'\\', string.as_bytes()).is_none()
    {
        return Ok(PyString::new(py, string).into_any());
    }
    // Most of the rest are small integers.
    if let Ok(number) = text.parse::<i64>() {
        return Ok(number.into_pyobject(py)?.into_any());
    }
    PythonParse::default().python_parse(py, text.as_bytes()).map_err(|error| map_json_error(text.as_bytes(), &error))
}

/// Whether a JSON text is of a list or a dict, which can be changed in place.
pub(crate) fn is_container(text: &str) -> bool {
    text.starts_with(['[', '{'])
}

/// The JSON text of a value. `key` names it in errors.
pub(crate) fn written(key: &str, value: &Bound<'_, PyAny>) -> PyResult<String> {
    let mut writer = Writer { key, out: Vec::with_capacity(64) };
    writer.write(value, MAX_DEPTH)?;
    Ok(String::from_utf8(writer.out).expect("strings and digits are UTF-8"))
}

struct Writer<'k> {
    key: &'k str,
    out: Vec<u8>,
}

impl Writer<'_> {
    fn write(&mut self, value: &Bound<'_, PyAny>, depth_left: usize) -> PyResult<()> {
        if let Ok(text) = value.cast::<PyString>() {
            self.text(text)
        } else if value.is_none() {
            self.word("null")
        } else if let Ok(truth) = value.cast::<PyBool>() {
            self.word(if truth.is_true() { "true" } else { "false" })
        } else if let Ok(number) = value.cast::<PyInt>() {
            self.integer(number)
        } else if let Ok(number) = value.cast::<PyFloat>() {
            self.float(number)
        } else if let Ok(object) = value.cast::<PyDict>() {
            self.object(object, self.deeper(value, depth_left)?)
        } else if let Ok(list) = value.cast::<PyList>() {
            self.array(list.iter(), self.deeper(value, depth_left)?)
        } else if let Ok(tuple) = value.cast::<PyTuple>() {
            self.array(tuple.iter(), self.deeper(value, depth_left)?)
        } else {
            let name = value.get_type().qualname()?;
            let message = format!("the value of {:?}: a {name} is no JSON value", self.key);
            Err(wrong_type(value.py(), message))
        }
    }

    fn deeper(&self, value: &Bound<'_, PyAny>, depth_left: usize) -> PyResult<usize> {
        depth_left.checked_sub(1).ok_or_else(|| {
            let message =
                format!("the value of {:?} is nested more than {MAX_DEPTH} deep, or contains itself", self.key);
            invalid_value(value.py(), message)
        })
    }

    fn word(&mut self, word: &str) -> PyResult<()> {
        self.out.extend_from_slice(word.as_bytes());
        Ok(())
    }

    fn text(&mut self, text: &Bound<'_, PyString>) -> PyResult<()> {
        let text = utf8(text, || format!("a string in the value of {:?}", self.key))?;
        serde_json::to_writer(&mut self.out, text).expect("a buffer takes all");
        Ok(())
    }

    fn integer(&mut self, number: &Bound<'_, PyInt>) -> PyResult<()> {
        match number.extract::<i64>() {
            Ok(number) => {
                serde_json::to_writer(&mut self.out, &number).expect("a buffer takes all");
                Ok(())
            }
            Err(_) => {
                // `int` says it and not the class of the value, which may be an enum and have a text of its own.
                let digits = number.py().get_type::<PyInt>().call_method1("__repr__", (number,))?;
                self.word(digits.cast::<PyString>()?.to_str()?)
            }
        }
    }

    fn float(&mut self, number: &Bound<'_, PyFloat>) -> PyResult<()> {
        let value = number.value();
        if !value.is_finite() {
            let message = format!("the value of {:?}: JSON has no number {value}", self.key);
            return Err(invalid_value(number.py(), message));
        }
        serde_json::to_writer(&mut self.out, &value).expect("a buffer takes all");
        Ok(())
    }

    fn array<'py>(&mut self, elements: impl Iterator<Item = Bound<'py, PyAny>>, depth_left: usize) -> PyResult<()> {
        self.out.push(b'[');
        for (index, element) in elements.enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            self.write(&element, depth_left)?;
        }
        self.out.push(b']');
        Ok(())
    }

    fn object(&mut self, object: &Bound<'_, PyDict>, depth_left: usize) -> PyResult<()> {
        self.out.push(b'{');
        for (index, (name, value)) in object.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            let Ok(name) = name.cast::<PyString>() else {
                let kind = name.get_type().qualname()?;
                let message = format!("the value of {:?}: a dict's keys are str in JSON, not {kind}", self.key);
                return Err(wrong_type(object.py(), message));
            };
            self.text(name)?;
            self.out.push(b':');
            self.write(&value, depth_left)?;
        }
        self.out.push(b'}');
        Ok(())
    }
}
