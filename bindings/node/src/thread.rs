//! What runs in a thread of libuv, so that the event loop goes on meanwhile.

use crate::error::guarded;
use napi::bindgen_prelude::{AsyncTask, ToNapiValue, TypeName};
use napi::{Env, Task};

type Work<T> = Box<dyn FnOnce() -> engine::Result<T> + Send>;

/// A call of the engine whose answer is a promise.
pub(crate) struct InThread<T>(Option<Work<T>>);

pub(crate) fn in_thread<T: Answer>(
    work: impl FnOnce() -> engine::Result<T> + Send + 'static,
) -> AsyncTask<InThread<T>> {
    AsyncTask::new(InThread(Some(Box::new(work))))
}

/// What such a call can answer.
pub(crate) trait Answer: ToNapiValue + TypeName + Send + 'static {}

impl<T: ToNapiValue + TypeName + Send + 'static> Answer for T {}

impl<T: Answer> Task for InThread<T> {
    type Output = T;
    type JsValue = T;

    fn compute(&mut self) -> napi::Result<T> {
        guarded(self.0.take().expect("napi runs a task once"))
    }

    fn resolve(&mut self, _env: Env, output: T) -> napi::Result<T> {
        Ok(output)
    }
}
