//! The component's side of the contract: WIT values to the SDK's and back.

use crate::{Bindings, Context, Failure, Level, Request, Task, Value};

#[doc(hidden)]
#[expect(clippy::too_many_arguments, reason = "generated")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "task",
        pub_export_macro: true,
        export_macro_name: "export_world",
        default_bindings_module: "::cofferdam_sdk::guest::bindings",
    });
}

use bindings::cofferdam::task::{log as host, types};

/// Exports a [`Task`] as the component's `run`.
#[macro_export]
macro_rules! export_task {
    ($task:ty) => {
        const _: () = {
            struct Exported;

            impl $crate::guest::bindings::Guest for Exported {
                fn run(
                    request: $crate::guest::bindings::Request,
                ) -> ::std::result::Result<$crate::guest::bindings::Outcome, $crate::guest::bindings::Failure>
                {
                    $crate::guest::run::<$task>(request)
                }
            }

    $crate::guest::bindings::export_world!(Exported with_types_in $crate::guest::bindings);
        };
    };
}

pub fn run<T: Task>(request: types::Request) -> Result<types::Outcome, types::Failure> {
    let context = Context { scratch: request.scratch.map(Into::into) };
    let mounts = |list: Vec<types::Mount>| list.into_iter().map(|m| (m.name, m.path.into())).collect();
    let request = Request {
        params: request.params.into_iter().map(|b| (b.name, lift(b.value))).collect(),
        inputs: mounts(request.inputs),
        outputs: mounts(request.outputs),
    };
    match T::call(&context, request) {
        Ok(results) => Ok(types::Outcome { results: bind(results) }),
        Err(Failure { reason, message, remedy, results }) => {
            Err(types::Failure { reason, message, remedy, results: bind(results) })
        }
    }
}

fn bind(results: Bindings) -> Vec<types::Binding> {
    results.into_iter().map(|(name, value)| types::Binding { name, value: lower(value) }).collect()
}

fn lift(value: types::Value) -> Value {
    match value {
        types::Value::Text(text) => Value::Text(text),
        types::Value::Texts(texts) => Value::Texts(texts),
        types::Value::Fields(fields) => Value::Fields(fields.into_iter().collect()),
    }
}

fn lower(value: Value) -> types::Value {
    match value {
        Value::Text(text) => types::Value::Text(text),
        Value::Texts(texts) => types::Value::Texts(texts),
        Value::Fields(fields) => types::Value::Fields(fields.into_iter().collect()),
    }
}

pub(crate) fn log(level: Level, message: &str, fields: &[(&str, &str)]) {
    let level = match level {
        Level::Debug => host::Level::Debug,
        Level::Info => host::Level::Info,
        Level::Warn => host::Level::Warn,
        Level::Error => host::Level::Error,
    };
    let fields: Vec<host::Field> = fields
        .iter()
        .map(|(name, value)| host::Field { name: (*name).to_owned(), value: (*value).to_owned() })
        .collect();
    host::write(level, message, &fields);
}

pub(crate) fn progress(done: u64, total: Option<u64>, message: &str) {
    host::progress(done, total, message);
}
