//! Where diagnostics for developers go: to standard error, or between the lines
//! of a run that is shown there.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::fmt::MakeWriter;

use crate::report::Remarks;

/// Where diagnostics go.
#[derive(Clone, Debug)]
pub(crate) struct Diagnostics(Arc<Mutex<Remarks>>);

impl Default for Diagnostics {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Remarks::on_stderr())))
    }
}

impl Diagnostics {
    /// From here on they are said in this way.
    pub(crate) fn go_through(&self, remarks: Remarks) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = remarks;
    }

    /// Internal diagnostics, for developers: `COFFERDAM_LOG=debug`; in
    /// colour, or not.
    pub(crate) fn start(&self, colour: bool) {
        let filter = tracing_subscriber::EnvFilter::try_from_env("COFFERDAM_LOG");
        let filter = filter.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
        let subscriber =
            tracing_subscriber::fmt().with_env_filter(filter).with_writer(self.clone()).with_ansi(colour);
        subscriber.without_time().with_target(false).init();
    }
}

impl<'a> MakeWriter<'a> for Diagnostics {
    type Writer = Remark;

    fn make_writer(&'a self) -> Remark {
        let remarks = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Remark { remarks, text: Vec::new() }
    }
}

/// One diagnostic: said when it is whole.
pub(crate) struct Remark {
    remarks: Remarks,
    text: Vec<u8>,
}

impl Write for Remark {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Remark {
    fn drop(&mut self) {
        if !self.text.is_empty() {
            self.remarks.say(String::from_utf8_lossy(&self.text).trim_end());
        }
    }
}
